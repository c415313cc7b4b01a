//! Layers over an image: qcow2, read only, as far as our monitor writes it.
//!
//! The format is that of QEMU's `docs/interop/qcow2.rst`. Which layer lies on
//! which is told by the caller: the names in a layer's header are never followed,
//! as a monitor that was taken over may have written them. Layers with features
//! that change how they are read (compression, encryption, data in other files)
//! are refused.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::bytes::{be32, be64};
use crate::disk::Disk;

/// Most layers of one disk.
const LAYERS_MAX: usize = 1024;

/// Most entries of a layer's first table, and largest disk in bytes: what file
/// systems of the host take as a file. Whoever looks for data looks at each cluster.
const FIRST_TABLE_MAX: u32 = 1 << 16;
const DISK_BYTES_MAX: u64 = 16 << 40;

/// How many second tables of a layer are held at once.
const TABLES_HELD: usize = 64;

/// Where an entry of a table points, in its bits.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZEROS: u64 = 1;

/// Features that do not change what is read: counts of references may be stale.
const UNDERSTOOD: u64 = 1;

/// Why layers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file cannot be read.
    #[error("a layer of the disk cannot be read")]
    Io(#[from] io::Error),
    /// It is none, or one that is not understood.
    #[error("a layer of the disk is no qcow2 that can be read here")]
    NotALayer,
    /// More than are followed.
    #[error("the disk has more than {LAYERS_MAX} layers")]
    TooMany,
}

/// A disk of layers over an image.
#[derive(Debug)]
pub struct Layers {
    /// The uppermost first.
    layers: Vec<Layer>,
    image: File,
    image_bytes: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Layer {
    file: File,
    cluster_bits: u32,
    bytes: u64,
    first: Vec<u64>,
    second: RefCell<HashMap<u64, Vec<u64>>>,
}

/// What a layer says of a cluster.
enum Cluster {
    /// It lies at this offset of the file.
    At(u64),
    /// It holds zeros.
    Zeros,
    /// Whatever lies below.
    Below,
}

impl Layers {
    /// The disk of these layers, the uppermost first, over an image.
    ///
    /// # Errors
    ///
    /// If one of them is none, or cannot be read.
    pub fn new(layers: Vec<File>, image: File) -> Result<Self, LayerError> {
        if layers.len() > LAYERS_MAX {
            return Err(LayerError::TooMany);
        }
        let layers = layers.into_iter().map(Layer::new).collect::<Result<Vec<_>, _>>()?;
        let image_bytes = image.metadata()?.len();
        let bytes = layers.first().map_or(image_bytes, |layer| layer.bytes);
        Ok(Self { layers, image, image_bytes, bytes })
    }

    /// The first part at or after an offset that may hold something else than
    /// zeros: where it begins, and how long it is.
    ///
    /// # Errors
    ///
    /// If a layer cannot be read.
    pub fn next_data(&self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        let mut at = offset;
        while at < self.bytes {
            let (length, is_below) = self.extent(at, |cluster| match cluster {
                Cluster::Below => None,
                Cluster::Zeros => Some(false),
                Cluster::At(_) => Some(true),
            })?;
            let (begin, end) = match is_below {
                Some(true) => return Ok(Some((at, length))),
                Some(false) => {
                    at += length;
                    continue;
                }
                None => (at, at + length),
            };
            match data_from(&self.image, begin)? {
                None => at = end,
                Some(data) if data >= end => at = end,
                Some(data) => return Ok(Some((data.max(begin), end - data.max(begin)))),
            }
        }
        Ok(None)
    }

    /// What the uppermost layer that says something says of the cluster at an
    /// offset, and how far that holds at least.
    fn extent<T>(
        &self,
        at: u64,
        told: impl Fn(Cluster) -> Option<T>,
    ) -> io::Result<(u64, Option<T>)> {
        let mut length = self.bytes - at;
        for layer in &self.layers {
            let cluster_bytes = 1_u64 << layer.cluster_bits;
            length = length.min(cluster_bytes - at % cluster_bytes);
            let told = told(layer.find(at)?);
            if told.is_some() {
                return Ok((length, told));
            }
        }
        Ok((length, None))
    }
}

impl Disk for Layers {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.bytes);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let mut length = self.bytes - at;
            let mut source = (&self.image, at, self.image_bytes);
            let mut zeros = false;
            for layer in &self.layers {
                let cluster_bytes = 1_u64 << layer.cluster_bits;
                length = length.min(cluster_bytes - at % cluster_bytes);
                match layer.find(at)? {
                    Cluster::Below => {}
                    Cluster::Zeros => {
                        zeros = true;
                        break;
                    }
                    Cluster::At(place) => {
                        source = (&layer.file, place + at % cluster_bytes, u64::MAX);
                        break;
                    }
                }
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
            let (piece, others) = rest.split_at_mut(length);
            let (file, place, file_bytes) = source;
            if zeros || place >= file_bytes {
                piece.fill(0);
            } else {
                read_padded(file, place, piece)?;
            }
            at += length as u64;
            rest = others;
        }
        Ok(())
    }
}

impl Layer {
    fn new(file: File) -> Result<Self, LayerError> {
        let mut header = [0; 104];
        read_padded(&file, 0, &mut header)?;
        let word = |offset| be32(&header, offset).unwrap_or(0);
        let long = |offset| be64(&header, offset).unwrap_or(0);
        let cluster_bits = word(20);
        let is_understood = &header[..4] == b"QFI\xfb"
            && word(4) == 3
            && word(32) == 0
            && long(72) & !UNDERSTOOD == 0
            && (9..=21).contains(&cluster_bits)
            && word(36) <= FIRST_TABLE_MAX
            && long(24) <= DISK_BYTES_MAX
            && long(24) <= u64::from(word(36)) << (2 * cluster_bits - 3);
        if !is_understood {
            return Err(LayerError::NotALayer);
        }
        let first = table(&file, long(40), word(36) as usize)?;
        let second = RefCell::default();
        Ok(Self { file, cluster_bits, bytes: long(24), first, second })
    }

    /// What it says of the cluster at an offset of the disk.
    fn find(&self, offset: u64) -> io::Result<Cluster> {
        if offset >= self.bytes {
            return Ok(Cluster::Below);
        }
        let cluster = offset >> self.cluster_bits;
        let second_bits = self.cluster_bits - 3;
        let first = cluster >> second_bits;
        let place = usize::try_from(first).ok().and_then(|first| self.first.get(first));
        let place = place.map_or(0, |entry| entry & OFFSET);
        if place == 0 {
            return Ok(Cluster::Below);
        }
        let mut held = self.second.borrow_mut();
        if held.len() >= TABLES_HELD && !held.contains_key(&first) {
            held.clear();
        }
        let table = match held.entry(first) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(table(&self.file, place, 1 << second_bits)?)
            }
        };
        let within = usize::try_from(cluster & ((1 << second_bits) - 1)).unwrap_or(usize::MAX);
        let entry = table.get(within).copied().unwrap_or(0);
        match (entry & OFFSET, entry & COMPRESSED, entry & ZEROS) {
            (_, compressed, _) if compressed != 0 => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "a layer of the disk is compressed"))
            }
            (_, _, zeros) if zeros != 0 => Ok(Cluster::Zeros),
            (0, ..) => Ok(Cluster::Below),
            (place, ..) => Ok(Cluster::At(place)),
        }
    }
}

/// The numbers of a table.
fn table(file: &File, offset: u64, entries: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; entries * 8];
    read_padded(file, offset, &mut bytes)?;
    Ok(bytes.chunks_exact(8).map(|entry| be64(entry, 0).unwrap_or(0)).collect())
}

/// Fills the buffer; what lies beyond the file's end is zeros.
fn read_padded(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => {
                buffer[filled..].fill(0);
                break;
            }
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where a file holds data at or after an offset.
fn data_from(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

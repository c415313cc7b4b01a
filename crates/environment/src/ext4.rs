//! Makes ext4 images from directories.
//!
//! The features are spelled out, so an image does not depend on the host's
//! `mke2fs.conf` and every guest kernel that we boot can mount it. Images are
//! new sparse files, hence all zeros: nothing is zeroed again, neither here nor
//! by the guest's kernel in the background, which would fill its copy-on-write
//! layer with 256 MiB of zeros.
//!
//! **Owners.** An image that is seeded from a user's tree belongs to root in
//! the guest, whoever owns the files here. Faking that while `mke2fs` runs
//! (`fakeroot`) takes 3.5 s for 20,000 files, against 0.3 s for making the
//! image and 10 ms for [`give_to_root`], which rewrites the owners in its inode
//! tables. These images carry no checksums of inodes, so nothing else has to
//! change with them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::cancel::Cancel;
use crate::command::{Exit, Failure, Invocation};
use crate::error::EnvironmentError;

/// How large an image looks to a guest, in bytes: 16 GiB. On the host it is
/// sparse. All images have one size because a machine that is resumed from a
/// template can only be given drives of the size that it knows.
pub const IMAGE_VIRTUAL_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// From this size on, in bytes, images have a journal of [`JOURNAL_MIB`];
/// smaller ones have what `mke2fs` finds fitting.
const JOURNAL_FROM_BYTES: u64 = 1024 * 1024 * 1024;

/// The size of a journal, in MiB. Each workspace may fill its own copy.
const JOURNAL_MIB: &str = "size=32";

/// Bytes per block.
const BLOCK_BYTES: &str = "4096";

/// Features of every image. Large group descriptors (`64bit`) are of no use
/// below 16 TiB; room for growing later (`resize_inode`) costs 4 MiB of zeros.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,flex_bg,\
                        sparse_super,large_file,huge_file,dir_nlink,extra_isize";

/// What `mke2fs` writes when the tree is larger than the image.
const IMAGE_FULL_TEXTS: &[&str] =
    &["Could not allocate", "Couldn't allocate", "No free space", "no free"];

/// Who owns the files of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Whoever owns them in the directory. Metadata has checksums.
    Kept,
    /// Root. Only group descriptors have checksums.
    Root,
}

/// How an image is made.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) virtual_bytes: u64,
    pub(crate) label: &'a str,
    /// Identifies the file system and seeds its directory hashes.
    pub(crate) uuid: uuid::Uuid,
    pub(crate) owners: Owners,
}

/// Makes an image at `image`, which must not exist. `invocation` is `mke2fs`
/// with the powers that reading `source` takes.
pub(crate) fn make(
    invocation: Invocation,
    source: Option<&Path>,
    image: &Path,
    layout: &Layout<'_>,
    cancel: &Cancel,
) -> Result<(), EnvironmentError> {
    File::options()
        .write(true)
        .create_new(true)
        .open(image)
        .and_then(|file| file.set_len(layout.virtual_bytes))
        .map_err(EnvironmentError::io("create", image))?;
    let checksums = match layout.owners {
        Owners::Kept => "metadata_csum",
        Owners::Root => "uninit_bg",
    };
    let uuid = layout.uuid.to_string();
    let mut invocation = invocation
        .args(&["-q", "-F", "-t", "ext4", "-b", BLOCK_BYTES, "-I", "256", "-m", "0"])
        .args(&["-L", layout.label, "-U", &uuid])
        .args(&["-O", &format!("{FEATURES},{checksums}")])
        .arg("-E")
        .arg(format!(
            "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1,root_owner=0:0,\
             hash_seed={uuid}"
        ));
    if layout.virtual_bytes >= JOURNAL_FROM_BYTES {
        invocation = invocation.args(&["-J", JOURNAL_MIB]);
    }
    if let Some(source) = source {
        invocation = invocation.arg("-d").arg(source);
    }
    invocation.arg(image).run(cancel).map_err(|failure| match failure {
        Failure::Exit(Exit { tail, .. })
            if IMAGE_FULL_TEXTS.iter().any(|text| tail.contains(text)) =>
        {
            EnvironmentError::TreeTooLarge {
                path: source.unwrap_or(image).to_owned(),
                virtual_bytes: layout.virtual_bytes,
            }
        }
        other => other.into(),
    })?;
    match layout.owners {
        Owners::Kept => Ok(()),
        Owners::Root => give_to_root(image),
    }
}

const SUPERBLOCK_OFFSET: u64 = 1024;
const SUPERBLOCK_BYTES: usize = 1024;
const MAGIC: u16 = 0xEF53;
const DESCRIPTOR_BYTES: usize = 32;
const ROOT_INODE_INDEX: usize = 1;
/// Type bits of a mode, and those of a directory with the usual permissions.
const ROOT_DIRECTORY_MODE: u16 = 0o040_755;
/// In a group descriptor: no inode of the group is in use.
const GROUP_INODES_UNUSED: u16 = 1;
/// Where owner and group lie in an inode, low and high halves.
const OWNER_OFFSETS: [usize; 4] = [2, 24, 120, 122];

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_le_bytes(*field))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

/// Gives every file of an image to root and the root directory mode 0755.
fn give_to_root(image: &Path) -> Result<(), EnvironmentError> {
    let file = File::options()
        .read(true)
        .write(true)
        .open(image)
        .map_err(EnvironmentError::io("open", image))?;
    match rewrite_owners(&file).map_err(EnvironmentError::io("set owners in", image))? {
        Some(()) => Ok(()),
        None => Err(EnvironmentError::ImageLayout { path: image.to_owned() }),
    }
}

/// `None` if a field says what no image of ours says.
fn rewrite_owners(file: &File) -> io::Result<Option<()>> {
    let mut superblock = vec![0; SUPERBLOCK_BYTES];
    file.read_exact_at(&mut superblock, SUPERBLOCK_OFFSET)?;
    let Some(geometry) = Geometry::read(&superblock) else { return Ok(None) };
    let mut descriptors = vec![0; geometry.groups * DESCRIPTOR_BYTES];
    file.read_exact_at(&mut descriptors, geometry.block_bytes)?;
    for (group, descriptor) in descriptors.chunks_exact(DESCRIPTOR_BYTES).enumerate() {
        let (Some(table), Some(flags), Some(unused)) =
            (u32_at(descriptor, 8), u16_at(descriptor, 18), u16_at(descriptor, 28))
        else {
            return Ok(None);
        };
        let used = geometry.inodes_per_group.saturating_sub(usize::from(unused));
        if flags & GROUP_INODES_UNUSED != 0 || used == 0 {
            continue;
        }
        let offset = u64::from(table) * geometry.block_bytes;
        let mut inodes = vec![0; used * geometry.inode_bytes];
        file.read_exact_at(&mut inodes, offset)?;
        let mut changed = false;
        for (index, inode) in inodes.chunks_exact_mut(geometry.inode_bytes).enumerate() {
            for offset in OWNER_OFFSETS {
                changed |= put_u16(inode, offset, 0);
            }
            if group == 0 && index == ROOT_INODE_INDEX {
                changed |= put_u16(inode, 0, ROOT_DIRECTORY_MODE);
            }
        }
        if changed {
            file.write_all_at(&inodes, offset)?;
        }
    }
    Ok(Some(()))
}

/// Writes a field and tells whether that changed it.
fn put_u16(bytes: &mut [u8], offset: usize, value: u16) -> bool {
    let Some(field) = bytes.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<2>()) else {
        return false;
    };
    let value = value.to_le_bytes();
    let changed = *field != value;
    *field = value;
    changed
}

struct Geometry {
    block_bytes: u64,
    inode_bytes: usize,
    inodes_per_group: usize,
    groups: usize,
}

impl Geometry {
    fn read(superblock: &[u8]) -> Option<Self> {
        let inodes = u32_at(superblock, 0)?;
        let inodes_per_group = u32_at(superblock, 40)?;
        let log_block = u32_at(superblock, 24)?;
        let expected = u16_at(superblock, 56)? == MAGIC
            && u16_at(superblock, 88)? == 256
            && log_block == 2
            && inodes_per_group > 0
            && inodes_per_group <= 32_768;
        expected.then_some(())?;
        Some(Self {
            block_bytes: 4096,
            inode_bytes: 256,
            inodes_per_group: usize::try_from(inodes_per_group).ok()?,
            groups: usize::try_from(inodes.div_ceil(inodes_per_group)).ok()?,
        })
    }
}

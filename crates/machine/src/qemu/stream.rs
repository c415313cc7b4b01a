//! A snapshot's stream taken apart: the guest's memory to one place, everything
//! else to another.
//!
//! What is left of the stream is a state as the monitor writes it when memory is in
//! a file of its own (`x-ignore-shared`), so any number of machines can be resumed
//! from the two. Nothing but the records of memory is understood here; devices are
//! passed on as they are. Everything is big-endian:
//!
//! ```text
//! "QEVM" version:4 │ 07 configuration │ 01 start of "ram" │ 02 part … │ 03 end │ the rest
//!
//! configuration   length:4 board, then 05 subsection: text version:4, capabilities
//! start           id:4 text instance:4 version:4, (total │ 4):8,
//!                 blocks: text length:8 address:8, records, footer
//! part, end       id:4, records, footer
//! record          (offset │ flags):8, text unless flag 20 says "same block as before",
//!                 then with flag 2 the byte that fills the page, with flag 8 the page;
//!                 flag 10 alone ends the records
//! text            length:1 and as many bytes        footer    7e id:4
//! ```
//!
//! Source: QEMU's `migration/savevm.c` and `migration/ram.c`. The format is what
//! machines of one kind are migrated with between versions of QEMU, so it stays.
//! What is not in this picture takes a capability that is never switched on; it is
//! refused. The monitor may have been taken over by its guest: nothing is allocated
//! by what the stream says but a list of at most [`BLOCKS_MAX`] blocks.

use std::io::{self, BufRead, Write};

/// Bytes of a page.
const PAGE: usize = 4096;

/// How much memory is put at once, in bytes.
const BATCH: usize = 1 << 20;

/// How many blocks of memory a machine may have: a handful of ROMs beside its RAM.
const BLOCKS_MAX: usize = 64;

/// Longest name of a board.
const BOARD_MAX: u32 = 64;

/// How many capabilities may be listed.
const CAPABILITIES_MAX: u32 = 64;

const MAGIC_AND_VERSION: [u8; 8] = *b"QEVM\0\0\0\x03";
const CONFIGURATION: u8 = 7;
const SUBSECTION: u8 = 5;
const START: u8 = 1;
const PART: u8 = 2;
const END: u8 = 3;
const FOOTER: u8 = 0x7e;

/// The low bits of a record's first word.
const FLAGS: u64 = PAGE as u64 - 1;
const FLAG_FILLED: u64 = 0x02;
const FLAG_SIZES: u64 = 0x04;
const FLAG_PAGE: u64 = 0x08;
const FLAG_LAST: u64 = 0x10;
const FLAG_SAME_BLOCK: u64 = 0x20;

/// Why a stream could not be taken apart.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    /// The stream could not be read, or ended early.
    #[error("cannot read it")]
    Stream(#[source] io::Error),
    /// Memory could not be put where it goes.
    #[error("cannot write the memory")]
    Memory(#[source] io::Error),
    /// What is left could not be written.
    #[error("cannot write the state")]
    State(#[source] io::Error),
    /// It is no stream that our monitors write.
    #[error("{0}")]
    Odd(&'static str),
}

use SplitError::Odd;

/// Copies the pages of the block `name`, which has so many bytes, to `memory`, which
/// holds zeros so far, and all the rest to `state`. Pages that are written more than
/// once come more than once, the newest last.
pub(super) fn split(
    stream: &mut impl BufRead,
    (name, bytes): (&str, u64),
    memory: impl FnMut(u64, &[u8]) -> io::Result<()>,
    state: &mut impl Write,
) -> Result<(), SplitError> {
    let pages = usize::try_from(bytes / PAGE as u64).map_err(|_| Odd("too much memory"))?;
    let mut splitter = Splitter {
        stream,
        state,
        taken: Vec::new(),
        memory: Memory {
            put: memory,
            at: 0,
            batch: Vec::new(),
            known: vec![0; pages.div_ceil(64)],
        },
        blocks: Vec::new(),
        current: None,
    };
    splitter.header()?;
    splitter.sections(name.as_bytes(), bytes)?;
    splitter.memory.flush().map_err(SplitError::Memory)?;
    let Splitter { stream, state, .. } = splitter;
    loop {
        let rest = stream.fill_buf().map_err(SplitError::Stream)?;
        if rest.is_empty() {
            return Ok(());
        }
        state.write_all(rest).map_err(SplitError::State)?;
        let used = rest.len();
        stream.consume(used);
    }
}

/// A part of the machine's memory that has a name.
struct Block {
    name: Vec<u8>,
    bytes: u64,
    /// Whether it goes to its own place.
    is_wanted: bool,
}

struct Splitter<'a, R, W, P> {
    stream: &'a mut R,
    state: &'a mut W,
    /// What was read and is not yet known to belong to the state.
    taken: Vec<u8>,
    memory: Memory<P>,
    blocks: Vec<Block>,
    /// The block of the last record.
    current: Option<usize>,
}

impl<R: BufRead, W: Write, P: FnMut(u64, &[u8]) -> io::Result<()>> Splitter<'_, R, W, P> {
    fn header(&mut self) -> Result<(), SplitError> {
        if self.take::<8>()? != MAGIC_AND_VERSION {
            return Err(Odd("it does not begin as a stream"));
        }
        if self.take()? != [CONFIGURATION] {
            return Err(Odd("it does not say of which board it is"));
        }
        let length = self.number()?;
        if length > BOARD_MAX {
            return Err(Odd("the name of its board is too long"));
        }
        for _ in 0..length {
            self.take::<1>()?;
        }
        let mut leaves_files_out = false;
        let mut kind = self.take::<1>()?;
        while kind == [SUBSECTION] {
            let is_known = self.text()? == b"configuration/capabilities";
            self.number()?;
            let count = self.number()?;
            if !is_known || count > CAPABILITIES_MAX {
                return Err(Odd("its configuration has an unknown part"));
            }
            for _ in 0..count {
                leaves_files_out |= self.text()? == b"x-ignore-shared";
            }
            kind = self.take::<1>()?;
        }
        if !leaves_files_out {
            return Err(Odd("it is not for machines whose memory is in a file"));
        }
        if kind != [START] {
            return Err(Odd("it does not begin with memory"));
        }
        self.keep()
    }

    /// Everything about memory; begins behind the first section's kind.
    fn sections(&mut self, name: &[u8], bytes: u64) -> Result<(), SplitError> {
        let id = self.number()?;
        if self.text()? != b"ram" {
            return Err(Odd("it does not begin with memory"));
        }
        self.take::<8>()?;
        self.blocks(name, bytes)?;
        let mut kind = START;
        loop {
            while self.record()? {}
            if self.take()? != [FOOTER] || self.number()? != id {
                return Err(Odd("a section of its memory has no footer"));
            }
            self.keep()?;
            if kind == END {
                return Ok(());
            }
            [kind] = self.take()?;
            if ![PART, END].contains(&kind) || self.number()? != id {
                return Err(Odd("its memory is mixed with something else"));
            }
        }
    }

    /// The list of blocks.
    fn blocks(&mut self, name: &[u8], bytes: u64) -> Result<(), SplitError> {
        let word = self.long()?;
        if word & FLAGS != FLAG_SIZES {
            return Err(Odd("the blocks of its memory are not listed"));
        }
        let mut left = word & !FLAGS;
        while left > 0 {
            let block = self.text()?;
            let (length, _address) = (self.long()?, self.long()?);
            if length == 0 || length > left || self.blocks.len() == BLOCKS_MAX {
                return Err(Odd("the blocks of its memory do not add up"));
            }
            left -= length;
            let is_wanted = block == name;
            if is_wanted && length != bytes {
                return Err(Odd("its memory has another size"));
            }
            self.blocks.push(Block { name: block, bytes: length, is_wanted });
        }
        if self.blocks.iter().filter(|block| block.is_wanted).count() == 1 {
            Ok(())
        } else {
            Err(Odd("the guest's memory is not in it"))
        }
    }

    /// Reads a record; whether it was not the last one.
    fn record(&mut self) -> Result<bool, SplitError> {
        self.keep()?;
        let word = self.long()?;
        let (offset, flags) = (word & !FLAGS, word & FLAGS);
        if flags == FLAG_LAST {
            return Ok(false);
        }
        if flags & FLAG_SAME_BLOCK == 0 {
            let name = self.text()?;
            self.current = self.blocks.iter().position(|block| block.name == name);
        }
        let block = self.current.and_then(|current| self.blocks.get(current));
        let block = block.ok_or(Odd("a page belongs to no block"))?;
        if block.bytes.checked_sub(PAGE as u64).is_none_or(|last| offset > last) {
            return Err(Odd("a page lies beyond its block"));
        }
        let is_wanted = block.is_wanted;
        match flags & !FLAG_SAME_BLOCK {
            FLAG_FILLED => {
                let [fill] = self.take::<1>()?;
                if is_wanted {
                    self.memory.fill(offset, fill).map_err(SplitError::Memory)?;
                }
            }
            FLAG_PAGE => {
                let page = self.take::<PAGE>()?;
                if is_wanted {
                    self.memory.page(offset, &page).map_err(SplitError::Memory)?;
                }
            }
            _ => return Err(Odd("a page is written in an unknown way")),
        }
        if is_wanted {
            self.taken.clear();
        }
        Ok(true)
    }

    /// What was taken belongs to the state.
    fn keep(&mut self) -> Result<(), SplitError> {
        self.state.write_all(&self.taken).map_err(SplitError::State)?;
        self.taken.clear();
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SplitError> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map_err(SplitError::Stream)?;
        self.taken.extend_from_slice(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, SplitError> {
        self.take().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Result<u64, SplitError> {
        self.take().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Result<Vec<u8>, SplitError> {
        let [length] = self.take()?;
        let mut text = vec![0; usize::from(length)];
        self.stream.read_exact(&mut text).map_err(SplitError::Stream)?;
        self.taken.extend_from_slice(&text);
        Ok(text)
    }
}

/// Where the wanted pages go: in batches, and zeros only over something else.
struct Memory<P> {
    put: P,
    /// Where the batch lies.
    at: u64,
    batch: Vec<u8>,
    /// A bit for each page that was put.
    known: Vec<u64>,
}

impl<P: FnMut(u64, &[u8]) -> io::Result<()>> Memory<P> {
    fn fill(&mut self, offset: u64, fill: u8) -> io::Result<()> {
        let (word, bit) = place(offset);
        let is_known = self.known.get(word).is_some_and(|word| word & bit != 0);
        if fill == 0 && !is_known { Ok(()) } else { self.page(offset, &[fill; PAGE]) }
    }

    fn page(&mut self, offset: u64, page: &[u8]) -> io::Result<()> {
        let (word, bit) = place(offset);
        if let Some(word) = self.known.get_mut(word) {
            *word |= bit;
        }
        if self.at + self.batch.len() as u64 != offset || self.batch.len() >= BATCH {
            self.flush()?;
            self.at = offset;
        }
        self.batch.extend_from_slice(page);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.batch.is_empty() {
            (self.put)(self.at, &self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }
}

/// Where the bit of a page is.
fn place(offset: u64) -> (usize, u64) {
    let page = offset / PAGE as u64;
    (usize::try_from(page / 64).unwrap_or(usize::MAX), 1 << (page % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of the machine in these tests.
    const BYTES: u64 = 4 * PAGE as u64;

    fn text(text: &str) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn page(offset: u64, flags: u64, block: &str, content: &[u8]) -> Vec<u8> {
        let name = if block.is_empty() { Vec::new() } else { text(block) };
        [&((offset * PAGE as u64) | flags).to_be_bytes(), name.as_slice(), content].concat()
    }

    fn footer() -> Vec<u8> {
        [FLAG_LAST.to_be_bytes().as_slice(), &[FOOTER, 0, 0, 0, 2]].concat()
    }

    fn beginning(capability: &str) -> Vec<u8> {
        let mut stream = MAGIC_AND_VERSION.to_vec();
        stream.extend([CONFIGURATION, 0, 0, 0, 3, b'q', b'3', b'5', SUBSECTION]);
        stream.extend(text("configuration/capabilities"));
        stream.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        stream.extend(text(capability));
        stream.extend([START, 0, 0, 0, 2]);
        stream.extend(text("ram"));
        stream.extend([0, 0, 0, 0, 0, 0, 0, 4]);
        stream.extend(((BYTES + PAGE as u64) | FLAG_SIZES).to_be_bytes());
        for (name, bytes) in [("ram", BYTES), ("rom", PAGE as u64)] {
            stream.extend([text(name).as_slice(), &bytes.to_be_bytes(), &[0; 8]].concat());
        }
        stream.extend(footer());
        stream
    }

    fn taken_apart(stream: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SplitError> {
        let mut memory = vec![0; usize::try_from(BYTES).unwrap()];
        let mut state = Vec::new();
        let put = |offset: u64, pages: &[u8]| {
            let at = usize::try_from(offset).unwrap();
            memory[at..at + pages.len()].copy_from_slice(pages);
            Ok(())
        };
        split(&mut &stream[..], ("ram", BYTES), put, &mut state)?;
        Ok((memory, state))
    }

    #[test]
    fn memory_and_the_rest_come_apart() {
        let (a, b, rom) = ([b'a'; PAGE], [b'b'; PAGE], [b'r'; PAGE]);
        let part = |records: &[Vec<u8>], kind| {
            [&[kind, 0, 0, 0, 2], records.concat().as_slice(), &footer()].concat()
        };
        let same = FLAG_SAME_BLOCK;
        let first = part(
            &[
                page(0, FLAG_PAGE, "ram", &a),
                page(1, FLAG_PAGE | same, "", &a),
                page(3, FLAG_FILLED | same, "", &[0]),
                page(0, FLAG_PAGE, "rom", &rom),
                page(2, FLAG_PAGE, "ram", &b),
            ],
            PART,
        );
        // The block of the last record holds across sections.
        let last = part(
            &[page(0, FLAG_FILLED | same, "", &[0]), page(1, FLAG_FILLED | same, "", &[7])],
            END,
        );
        let devices = b"devices, as they are";
        let whole = [&beginning("x-ignore-shared"), &first, &last, devices.as_slice()].concat();
        let (memory, state) = taken_apart(&whole).unwrap();
        assert!(memory == [[0; PAGE], [7; PAGE], b, [0; PAGE]].concat());
        let without = [
            &beginning("x-ignore-shared"),
            &part(&[page(0, FLAG_PAGE, "rom", &rom)], PART),
            &part(&[], END),
            devices.as_slice(),
        ];
        assert!(state == without.concat());
        let memory_ends = whole.len() - devices.len();
        for cut in (0..memory_ends).step_by(97).chain([memory_ends - 1]) {
            assert!(taken_apart(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn what_our_monitors_never_write_is_refused() {
        let odd = |stream: &[u8]| match taken_apart(stream) {
            Err(Odd(reason)) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(odd(b"GIF89a is something else"), "it does not begin as a stream");
        let other = beginning("xbzrle");
        assert_eq!(odd(&other), "it is not for machines whose memory is in a file");
        let section = |record: Vec<u8>| {
            [&beginning("x-ignore-shared"), [PART, 0, 0, 0, 2].as_slice(), &record].concat()
        };
        let beyond = page(4, FLAG_PAGE, "ram", &[0; PAGE]);
        assert_eq!(odd(&section(beyond)), "a page lies beyond its block");
        let nowhere = page(0, FLAG_PAGE | FLAG_SAME_BLOCK, "", &[0; PAGE]);
        assert_eq!(odd(&section(nowhere)), "a page belongs to no block");
        let packed = page(0, 0x100, "ram", &[0; PAGE]);
        assert_eq!(odd(&section(packed)), "a page is written in an unknown way");
        let small = split(
            &mut &beginning("x-ignore-shared")[..],
            ("ram", BYTES / 2),
            |_, _| Ok(()),
            &mut Vec::new(),
        );
        assert!(matches!(small, Err(Odd("its memory has another size"))));
    }
}

//! The drives of a machine as the monitor knows them: chains of nodes.
//!
//! ```text
//! guest's device ──▶ drive0-top2 ──▶ drive0-top1 ──▶ drive0 ──▶ drive0-base0 ──▶ …
//!                    written         frozen by       as at      below, as at
//!                    since the       the second      the start  the start
//!                    last snapshot   snapshot
//! ```
//!
//! Each node of a chain lies in a node of its file, and that in a set of
//! descriptors: the monitor opens nothing by a path. All names begin with the
//! drive's, so that an event about any of them leads back to it.

use super::files::{DiskFiles, ImageFormat};
use super::orders::{Node, NodeAccess, NodeKind};
use crate::Disk;

/// Sets of descriptors that come while the machine runs are counted from here
/// on; those of the start have the numbers of their descriptors.
const FIRST_LATER_SET: u32 = 1000;

/// The node of the `index`th drive that the guest's device is attached to when
/// the machine starts.
pub(super) fn drive_node(index: usize) -> String {
    format!("drive{index}")
}

/// The drive that a node belongs to.
pub(super) fn drive_of_node(node: &str) -> Option<usize> {
    let digits = node.strip_prefix("drive")?;
    digits.split(['-']).next()?.parse().ok()
}

/// One image of a drive's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) node: String,
    pub(super) format: ImageFormat,
    /// The set that holds its descriptors.
    pub(super) set: u32,
}

impl Image {
    /// The image's nodes, over that of another image: first its file.
    pub(super) fn nodes(&self, below: Option<&Self>, access: NodeAccess) -> [Node; 2] {
        let file = Node { name: self.file_node(), kind: NodeKind::File { set: self.set }, access };
        [file, self.format_node(below, access)]
    }

    /// The image's node without that of its file.
    pub(super) fn format_node(&self, below: Option<&Self>, access: NodeAccess) -> Node {
        let file = self.file_node();
        let kind = match self.format {
            ImageFormat::Raw => NodeKind::Raw { file },
            ImageFormat::Qcow2 => {
                NodeKind::Layer { file, backing: below.map(|image| image.node.clone()) }
            }
        };
        Node { name: self.node.clone(), kind, access }
    }

    pub(super) fn file_node(&self) -> String {
        format!("{}-file", self.node)
    }
}

/// A drive and its chain.
#[derive(Debug)]
pub(super) struct Drive {
    /// What our caller calls it.
    pub(super) name: String,
    /// Its size as the guest sees it.
    pub(super) bytes: u64,
    /// The written layer first, then what is below, nearest first.
    pub(super) chain: Vec<Image>,
    index: usize,
    /// How many images were added since the start.
    added: u32,
}

impl Drive {
    /// The drive as the monitor is started with it.
    pub(super) fn at_start(index: usize, disk: &Disk, files: &DiskFiles) -> Self {
        let top = drive_node(index);
        let below = files.backing.iter().enumerate().map(|(depth, (set, format))| Image {
            node: format!("{top}-base{depth}"),
            format: *format,
            set: *set,
        });
        let set = files.layer.read_write;
        let layer = Image { node: top.clone(), format: ImageFormat::Qcow2, set };
        let chain = std::iter::once(layer).chain(below).collect();
        Self { name: disk.name.clone(), bytes: files.bytes, chain, index, added: 0 }
    }

    /// An image that is not in the chain yet, under a name of its own.
    pub(super) fn new_image(&mut self, sets: &mut Sets) -> Image {
        self.added += 1;
        Image {
            node: format!("{}-top{}", drive_node(self.index), self.added),
            format: ImageFormat::Qcow2,
            set: sets.next(),
        }
    }
}

/// Numbers the sets of descriptors that come while a machine runs.
#[derive(Debug)]
pub(super) struct Sets(u32);

impl Sets {
    pub(super) fn new() -> Self {
        Self(FIRST_LATER_SET)
    }

    fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::LayerNumbers;
    use super::*;

    #[test]
    fn every_node_leads_back_to_its_drive() {
        let layer = LayerNumbers { read_write: 10, read_only: 11 };
        let backing = vec![(12, ImageFormat::Qcow2), (13, ImageFormat::Raw)];
        let disk = Disk { name: "root".to_owned(), layer: "/layer".into(), backing: Vec::new() };
        let mut drive = Drive::at_start(12, &disk, &DiskFiles { bytes: 1, layer, backing });
        let mut sets = Sets::new();
        let added = [drive.new_image(&mut sets), drive.new_image(&mut sets)];
        assert_ne!(added[0].node, added[1].node);
        assert_ne!(added[0].set, added[1].set);
        for image in drive.chain.iter().chain(&added) {
            assert_eq!(drive_of_node(&image.node), Some(12));
            assert_eq!(drive_of_node(&image.file_node()), Some(12));
        }
        assert_eq!(drive_of_node("ram"), None);
    }
}

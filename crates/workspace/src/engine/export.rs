//! Copying out of a workspace.

use file_tree::{Kind, Limits};
use guest_protocol::tools::file::Kind as GuestKind;
use guest_protocol::tools::transfer::{self, Pack, Packed, TransferRequest};
use operation::{Call, ErrorKind, Handler, OpError};
use workspace_api::crossing::{CrossingProgress, CrossingStage};
use workspace_api::ledger::LedgerEvent;
use workspace_api::seed::LeftOut;
use workspace_api::workspace::{ArchiveFormat, Export, Exported};

use super::Engine;
use super::progress::crossing;
use super::secrets::SecretsLeave;
use super::tools::{Asked, place};
use crate::crossing::outgoing::{HostPlace, Shape, Staged, check_kind, exported};
use crate::crossing::stream::{FromGuest, Meter, cancelled};

/// Longest file, in bytes, holes counted: what file systems take.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024 * 1024;

impl Handler<Export> for Engine {
    async fn handle(
        &self,
        export: Export,
        call: &mut Call<CrossingProgress>,
    ) -> Result<Exported, OpError> {
        let record = self.store.find(&export.workspace)?;
        let path = place(&export.path)?;
        let to = HostPlace::find(&export.to)?;
        to.check(export.existing)?;
        let limits = Limits {
            members: export.max_files,
            bytes: export.max_mib.saturating_mul(1024 * 1024),
            file_bytes: FILE_BYTES_MAX,
        };
        let request = TransferRequest::Pack(Pack {
            path: path.clone(),
            only: None,
            entries_max: limits.members,
        });
        let mut asked = self.ask_tool(&record, transfer::TOOL, &request).await?;
        let packed: Packed = tokio::select! {
            packed = asked.answer() => packed?,
            () = call.cancel.cancelled() => return Err(cancelled()),
        };
        let shape = match packed.kind {
            GuestKind::Directory => Shape::Directory,
            _ => Shape::Single,
        };
        check(&packed, limits)?;
        if shape == Shape::Directory {
            // Of the rest the guest could say anything: it is looked at when it is here.
            check_kind(export.kind, Kind::Directory)?;
        }
        let meter = Meter::default();
        let archive = FromGuest::new(output(&mut asked)?, &call.cancel, &meter);
        let (target, cancel) = (to.clone(), call.cancel.clone());
        let unpack = tokio::task::spawn_blocking(move || {
            Staged::begin(target)?.unpack(archive, limits, &mut || !cancel.is_cancelled())
        });
        let received = |bytes| CrossingProgress {
            stage: CrossingStage::Receiving,
            bytes,
            total_bytes: packed.bytes,
        };
        let (sealed, unpacked) = crossing(call, unpack, &meter, received).await?;
        asked.finish().await?;
        let named = || match shape {
            Shape::Directory => ArchiveFormat::of_name(&export.to),
            Shape::Single => None,
        };
        let archive = export.archive.or_else(named);
        let (existing, wanted) = (export.existing, export.kind);
        let gate = self.gate(&record, SecretsLeave::allowed(export.allow_secrets))?;
        let publish = tokio::task::spawn_blocking(move || {
            sealed.judge(&gate)?;
            sealed.publish(shape, wanted, archive, existing)
        });
        let kind = crossing(call, publish, &meter, received).await?;
        let mut left_out: Vec<LeftOut> = packed
            .left_out
            .iter()
            .take(transfer::LEFT_OUT_MAX)
            .map(|path| left_out(path, "a socket or a device"))
            .collect();
        left_out.extend(unpacked.left_out.iter().map(left_out_text));
        let told = Exported {
            path: path.to_string(),
            to: to.path().display().to_string(),
            kind: exported(kind),
            files: unpacked.files,
            directories: unpacked.directories,
            bytes: unpacked.bytes,
            left_out_total: packed.left_out_total.saturating_add(unpacked.left_out_total),
            left_out,
        };
        let event = LedgerEvent::Exported {
            path: told.path.clone(),
            to: told.to.clone(),
            files: told.files,
            bytes: told.bytes,
        };
        self.note(&record, event).await;
        Ok(told)
    }
}

/// Refuses what says of itself that it is too much.
fn check(packed: &Packed, limits: Limits) -> Result<(), OpError> {
    for (what, is, max, option) in [
        ("files", packed.entries, limits.members, "--max-files"),
        ("bytes", packed.bytes, limits.bytes, "--max-mib"),
    ] {
        if is > max {
            let message = format!("there are {is} {what}, more than the {max} that are allowed");
            return Err(OpError::plain(ErrorKind::Exhausted, message)
                .hinted(format!("allow more with {option}, or copy a part")));
        }
    }
    Ok(())
}

/// The bytes behind an answer.
pub(super) fn output(asked: &mut Asked) -> Result<crate::keeper::client::PipeOutput, OpError> {
    asked.output.take().ok_or_else(|| OpError::plain(ErrorKind::Internal, "there is no output"))
}

fn left_out(path: impl ToString, reason: &str) -> LeftOut {
    LeftOut { path: path.to_string(), reason: reason.to_owned() }
}

fn left_out_text(left: &file_tree::LeftOut) -> LeftOut {
    left_out(&left.path, left.what)
}

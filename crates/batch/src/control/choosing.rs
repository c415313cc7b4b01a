//! Which batch is meant, and which others a repository has.

use std::path::Path;

use batch_api::BatchId;
use batch_api::control::Target;
use batch_api::plan::Remark;
use batch_core::spec::UnitSpec;
use operation::{ErrorKind, OpError};

use super::place::Place;
use super::setup::SetupFile;
use super::telling;
use crate::discovery::{self, Repository};
use crate::home::BatchesHome;

/// How many batches an error names.
const NAMED_MAX: usize = 8;

/// The batch that is meant: the one that is named, or else that of the repository which
/// is not over, or else its newest.
pub(crate) fn choose(home: &BatchesHome, target: &Target) -> Result<Place, OpError> {
    let all = home.batches(None)?;
    if let Some(reference) = &target.batch {
        let meant: Vec<BatchId> = all.into_iter().filter(|id| reference.means(*id)).collect();
        return match meant[..] {
            [one] => Ok(home.place(one)),
            [] => {
                Err(OpError::plain(ErrorKind::NotFound, format!("there is no batch `{reference}`"))
                    .hinted("`hotcell batch list` shows all of them"))
            }
            _ => Err(several(format!("`{reference}` means several batches"), &meant)),
        };
    }
    let repository = Repository::around(&discovery::directory(&target.directory))?;
    let mut of_it = of_repository(home, &repository.path)?;
    of_it.sort_by_key(|(setup, place)| (setup.created, place.batch));
    let mut open = Vec::new();
    for (_, place) in &of_it {
        let (state, _) = place.look()?;
        if !telling::state(&state).is_over() {
            open.push(place.batch);
        }
    }
    match (&open[..], of_it.pop()) {
        ([one], _) => Ok(home.place(*one)),
        ([], Some((_, newest))) => Ok(newest),
        ([], None) => {
            let message = format!("no batch was started in {}", repository.path.display());
            Err(OpError::plain(ErrorKind::NotFound, message)
                .hinted("`hotcell batch start` starts one; `hotcell batch list` shows all others"))
        }
        _ => Err(several(
            format!("several batches of {} are not over", repository.path.display()),
            &open,
        )),
    }
}

/// The batches of a repository. One that cannot be read is nobody's by default.
fn of_repository(
    home: &BatchesHome,
    repository: &Path,
) -> Result<Vec<(SetupFile, Place)>, OpError> {
    let places = home.batches(None)?.into_iter().map(|id| home.place(id));
    let read = places.filter_map(|place| Some((place.setup().ok()?, place)));
    Ok(read.filter(|(setup, _)| setup.setup.operator == repository).collect())
}

/// The batches that are not over and do tasks of another, which is not made yet.
pub(super) fn besides(home: &BatchesHome, file: &SetupFile) -> Result<Vec<Remark>, OpError> {
    let mut remarks = Vec::new();
    for (other, place) in of_repository(home, &file.setup.operator)? {
        let is_of_it = |unit: &&UnitSpec| other.spec.units.iter().any(|it| it.unit == unit.unit);
        let mut shared = file.spec.units.iter().filter(is_of_it);
        let Some(first) = shared.next() else { continue };
        // What cannot be read does nothing.
        if !place.look().is_ok_and(|(state, _)| !telling::state(&state).is_over()) {
            continue;
        }
        let more = match shared.count() {
            0 => String::new(),
            more => format!(", and {more} more of these tasks"),
        };
        let packet = Path::new(&first.home);
        let packet = packet.strip_prefix(&file.setup.operator).unwrap_or(packet);
        remarks.push(Remark {
            file: packet.display().to_string(),
            message: format!(
                "{0} does it as well{more}; `hotcell batch abort {0}` ends that",
                place.batch
            ),
        });
    }
    Ok(remarks)
}

fn several(message: String, meant: &[BatchId]) -> OpError {
    let named: Vec<String> = meant.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    OpError::plain(ErrorKind::InvalidRequest, message)
        .hinted(format!("name one: {}", named.join(", ")))
}

//! Which batch is meant.

use batch_api::BatchId;
use batch_api::control::Target;
use operation::{ErrorKind, OpError};

use super::place::Place;
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
    let mut of_it = Vec::new();
    for id in all {
        let place = home.place(id);
        // One that cannot be read is nobody's by default.
        if let Ok(setup) = place.setup()
            && setup.setup.operator == repository.path
        {
            of_it.push((setup.created, place));
        }
    }
    of_it.sort_by_key(|(created, place)| (*created, place.batch));
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

fn several(message: String, meant: &[BatchId]) -> OpError {
    let named: Vec<String> = meant.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    OpError::plain(ErrorKind::InvalidRequest, message)
        .hinted(format!("name one: {}", named.join(", ")))
}

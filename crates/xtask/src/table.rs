//! The table of everything that the program can do, as its face has it.

use batch::Batches;
use operation::OpSpec;
use workspace::Engine;

/// All operations, of workspaces and of batches. Nobody carries them out here.
pub(crate) fn operations() -> Vec<OpSpec<(Engine, Batches)>> {
    let workspaces = workspace_api::operations::<Engine>().into_iter();
    let batches = batch_api::operations::<Batches>().into_iter();
    workspaces
        .map(|row| row.within(|parts: &(Engine, Batches)| &parts.0))
        .chain(batches.map(|row| row.within(|parts: &(Engine, Batches)| &parts.1)))
        .collect()
}

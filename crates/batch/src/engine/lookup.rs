//! What became of effects whose engine died. Nothing of it is at them any more:
//! the store has another name, and what ran on the engine's threads ended with it.

use batch_api::Epoch;
use batch_core::effect::{Action, Effect, Found, Outcome};

use super::agent::Agent;
use super::work;
use super::world::{About, AboutUnit, Trouble, World};

pub(super) async fn find(
    world: &World,
    epoch: Epoch,
    effect: &Effect,
    about: &About,
) -> Result<Found, Trouble> {
    world.check(epoch)?;
    if let Action::Integrate { request, commit, handover } = &effect.action {
        let found = world.find_integrated(request, commit, handover).await?;
        return Ok(found.map_or(Found::NotDone, Found::Done));
    }
    let Some(unit) = &about.unit else { return Ok(Found::NotDone) };
    let done = match &effect.action {
        Action::Prepare { .. } => prepared(world, unit).await?,
        Action::Commit => committed(world, unit).await?,
        Action::Advance { to, .. } => {
            let (store, to) = (world.store()?, work::id(to)?);
            store.is_integrated(&to).await?.then_some(Outcome::Advanced)
        }
        Action::Finish => world.is_finished(unit)?.then_some(Outcome::Finished),
        Action::Remove { .. } => {
            world.site(&unit.attempt).await?.is_none().then_some(Outcome::Removed)
        }
        Action::Inject { conversation, message } => match &*world.agent {
            // An injection begins a turn, which ended with whoever watched it.
            Agent::Guest(_) | Agent::Turns(_) => return Ok(Found::Unknown),
            Agent::Host(agent) => {
                return world.find_injected(agent, conversation, *message).await;
            }
        },
        // What is captured twice is captured once; the others are never looked up.
        _ => None,
    };
    Ok(done.map_or(Found::NotDone, Found::Done))
}

/// What was made of the last capture. An attempt that went on after it was committed is
/// captured, and committed, again.
async fn committed(world: &World, unit: &AboutUnit) -> Result<Option<Outcome>, Trouble> {
    let Some(captured) = &unit.captured else { return Ok(None) };
    let found = world.store()?.result_of(&unit.attempt, &work::id(captured)?).await?;
    let commit = found.map(|found| found.as_str().parse()).transpose()?;
    Ok(commit.map(|commit| Outcome::Committed { commit }))
}

/// A lane that is there was not used yet, and is made again if it is half-furnished:
/// whether it is cannot be seen.
async fn prepared(world: &World, unit: &AboutUnit) -> Result<Option<Outcome>, Trouble> {
    if let Some(site) = world.site(&unit.attempt).await? {
        world.discard_site(site).await?;
    }
    Ok(None)
}

//! The recipes.

use crate::{Recipe, Step};

mod cold_start;
mod daily_loop;
mod parallel;
mod repro_fix;
mod review_eval;
mod untrusted;

pub use cold_start::COLD_START;
pub use daily_loop::DAILY_LOOP;
pub use parallel::PARALLEL;
pub use repro_fix::REPRO_FIX;
pub use review_eval::REVIEW_EVAL;
pub use untrusted::UNTRUSTED;

/// All recipes: the use cases, and the loop that they share.
pub static RECIPES: &[&Recipe] =
    &[&COLD_START, &REPRO_FIX, &PARALLEL, &UNTRUSTED, &REVIEW_EVAL, &DAILY_LOOP];

/// The recipe of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().copied().find(|recipe| recipe.name == name)
}

/// Where all recipes work: Python and compilers are there.
const ENVIRONMENT: &str = "debian:12-build";

/// What every recipe begins with: the argument and what is learned.
const CREATE: &[(&str, crate::Value)] = &[("environment", crate::Value::Text(ENVIRONMENT))];

/// The workspace that a recipe created.
const WORKSPACE: (&str, crate::Value) = ("workspace", crate::Value::Learned("workspace"));

/// What is learned from creating it.
const LEARNS_WORKSPACE: &[(&str, &str)] = &[("workspace", "ws_")];

/// What most recipes end with.
const THE_END: Step =
    Step::of("The machine goes", "workspace_delete", &[WORKSPACE]).says(&["Deleted"]);

/// Shows the defect of `parse` 1.12.0, of which its author wrote when he mended
/// it in 1.12.1: "Actually use the `case_sensitive` arg in compile".
const CHECK: &str = "python3 -B - <<'END'
import parse
careful = parse.compile('Age: {:d}', case_sensitive=True)
assert careful.parse('age: 42') is None, 'case_sensitive=True is ignored'
assert careful.parse('Age: 42')[0] == 42
assert parse.compile('Age: {:d}').parse('age: 42')[0] == 42, 'the default has changed'
print('as documented')
END";

/// The project's own tests; `-B`, so that no caches show up as changes.
const SUITE: &str = "python3 -B test_parse.py 2>&1 | tail -3";

/// The line at fault, and the one that the author put in its place.
const WRONG: &str = "return Parser(format, extra_types=extra_types)\n";
const RIGHT: &str =
    "return Parser(format, extra_types=extra_types, case_sensitive=case_sensitive)\n";

#[cfg(test)]
mod tests {
    use operation::tool::{Field, Need, Tool};
    use workspace_api::profile;

    use super::*;

    fn tool(recipe: &Recipe, step: &Step) -> Tool {
        let profile = profile::find(recipe.mode).unwrap();
        let tool = profile.tools.iter().find(|tool| tool.name == step.tool);
        *tool.unwrap_or_else(|| panic!("{}: {} has no {}", recipe.name, recipe.mode, step.tool))
    }

    #[test]
    fn every_recipe_gets_by_with_the_tools_of_its_mode() {
        for recipe in RECIPES {
            assert_eq!(find(recipe.name).unwrap().title, recipe.title);
            for step in recipe.steps {
                let Tool { fields, .. } = tool(recipe, step);
                let names = |field: &Field| field.name;
                for (argument, _) in step.arguments {
                    let known: Vec<&str> = fields.iter().map(names).collect();
                    let at = format!("{}, {}", recipe.name, step.tool);
                    assert!(known.contains(argument), "{at}: {argument} is none of {known:?}");
                }
                for field in fields.iter().filter(|field| field.need == Need::Always) {
                    assert!(step.arguments.iter().any(|(name, _)| *name == field.name));
                }
            }
        }
    }

    #[test]
    fn nothing_is_used_before_it_is_learned_and_nothing_stays_behind() {
        for recipe in RECIPES {
            let mut learned = Vec::new();
            let mut created = 0;
            for step in recipe.steps {
                for (_, value) in step.arguments {
                    if let crate::Value::Learned(name) = value {
                        assert!(learned.contains(name), "{}: {name}", recipe.name);
                    }
                }
                learned.extend(step.learns.iter().map(|(name, _)| *name));
                created += usize::from(step.tool == "workspace_create");
            }
            let names = learned.iter().filter(|name| name.starts_with("workspace")).count();
            assert_eq!(names, created, "{}: every workspace has a name of its own", recipe.name);
        }
    }
}

//! Builds `debian:12-base` in a library and says how that goes, a line each.
//!
//! The tests run it where a build must not be part of the test's own process:
//! to kill it, and on a storage that is too small for it. What is left when it
//! ends can only be seen where it ran, so it says that as well.

#![expect(clippy::print_stdout, reason = "its lines are what it is for")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use environment::{BuildOptions, Cancel, EnvironmentError, Library};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: build_base LIBRARY")?);
    let library = Library::open(&root)?;
    let mut progress = |progress: environment::Progress| println!("phase {:?}", progress.phase);
    let options = BuildOptions::default();
    let built = library.build(&"debian:12-base".parse()?, &options, &mut progress, &Cancel::new());
    match &built {
        Ok(built) => println!("built {}", built.record.root_image().display()),
        Err(error @ EnvironmentError::HostStorageFull { path }) => {
            println!("storage full {}", path.display());
            println!("hint {}", error.hint().unwrap_or_default());
        }
        Err(error) => println!("failed {error}"),
    }
    println!("staging {:?}", names(&root.join("staging"))?);
    println!("environments {:?}", names(&root.join("environments"))?);
    Ok(())
}

fn names(directory: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

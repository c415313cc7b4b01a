//! Where an agent's process lives: a directory per conversation, in the batch's own.
//!
//! ```text
//! agents/<conversation>/
//!   empty/       where it runs: nothing is there
//!   conversation which one it is
//!   home/        its settings and its own records, gone with its attempt's lane
//!   pass         what opens the gateway, gone when it has ended
//!   transcript   all lines that it was told (`>`) and said (`<`), without its credentials, with
//!                a bound, until they are kept as a trace
//!   stderr       what it complained about
//! ```
//!
//! A conversation is opened once, so whatever is found there before was left by
//! nobody. Whether a message arrived of which no outcome is known is looked up in the
//! agent's own records; where they are gone, nobody knows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use agents::{Adapter, Key, Record};
use batch_api::{AttemptId, ConversationId, MessageId};
use redaction::Secrets;
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::super::hide;
use super::super::removal::remove_foreign_tree;

/// The file that holds what was told and said.
const TRANSCRIPT: &str = "transcript";

/// The file that says which conversation it is.
const CONVERSATION: &str = "conversation";

/// Most bytes of a transcript that are kept.
const TRANSCRIPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most directories that are looked through for an agent's records.
const DIRECTORIES_MAX: usize = 1000;

/// Most bytes of a file of an agent's records that is looked through.
const RECORD_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of the digest in a name.
const DIGEST_BYTES: usize = 6;

/// A conversation's directory.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn of(batch: &Path, conversation: &ConversationId) -> Self {
        let text = conversation.to_string();
        let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        let digest = Sha256::digest(&text);
        let digest: String =
            digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let plain: String = plain.take(80).collect();
        Self(batch.join("agents").join(format!("{plain}-{digest}")))
    }

    /// Makes it, for its owner alone.
    pub(super) fn make(&self, conversation: &ConversationId) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(self.directory())?;
        builder.create(self.home())?;
        Self::write(&self.0.join(CONVERSATION), &conversation.to_string())
    }

    /// Removes the agents' own records of an attempt that is over.
    pub(super) fn clear(batch: &Path, attempt: &AttemptId) -> io::Result<()> {
        for place in Self::all(batch)? {
            if place.is_of(attempt) {
                remove_foreign_tree(&place.home())?;
                place.tidy()?;
            }
        }
        Ok(())
    }

    /// Removes what was said in the conversations of an attempt.
    pub(super) fn forget(batch: &Path, attempt: &AttemptId) -> io::Result<()> {
        for place in Self::all(batch)? {
            if place.is_of(attempt) {
                remove(&place.0.join(TRANSCRIPT))?;
            }
        }
        Ok(())
    }

    fn all(batch: &Path) -> io::Result<Vec<Self>> {
        match fs::read_dir(batch.join("agents")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(Self(entry?.path()))).collect(),
        }
    }

    fn is_of(&self, attempt: &AttemptId) -> bool {
        let said = fs::read_to_string(self.0.join(CONVERSATION)).unwrap_or_default();
        let its: Option<ConversationId> = said.parse().ok();
        its.is_some_and(|its| its.agent.attempt == *attempt)
    }

    /// What was told and said; nothing if nothing was, or it was removed.
    pub(super) fn said(&self) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        match File::open(self.0.join(TRANSCRIPT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(said),
            file => file?.take(TRANSCRIPT_BYTES_MAX).read_to_end(&mut said).map(|_| said),
        }
    }

    /// Writes a file that its owner alone reads.
    pub(super) fn write(path: &Path, content: &str) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
        file.write_all(content.as_bytes())
    }

    /// Removes what serves nobody once the agent has ended.
    pub(super) fn tidy(&self) -> io::Result<()> {
        remove(&self.pass())
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.0.join("empty")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    pub(super) fn pass(&self) -> PathBuf {
        self.0.join("pass")
    }

    pub(super) fn stderr(&self) -> PathBuf {
        self.0.join("stderr")
    }

    /// Its transcript, in which secrets are hidden.
    pub(super) fn transcript(&self, secrets: Option<Secrets>) -> io::Result<Transcript> {
        let path = self.0.join(TRANSCRIPT);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Transcript { file, left: TRANSCRIPT_BYTES_MAX, secrets })
    }

    /// Whether the agent's own records say that it took a message; none if they cannot
    /// be read without it.
    pub(super) fn has_taken(&self, adapter: Adapter, key: Key) -> io::Result<Option<bool>> {
        let Record::Files { directory, ending } = adapter.record() else { return Ok(None) };
        if !self.home().is_dir() {
            return Ok(None);
        }
        let mut directories = vec![self.home().join(directory)];
        let mut looked = 0;
        while let Some(directory) = directories.pop() {
            looked += 1;
            if looked > DIRECTORIES_MAX {
                return Err(io::Error::other("an agent has too many directories"));
            }
            let entries = match fs::read_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                // Links are not followed.
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if kind.is_file()
                    && entry.file_name().to_string_lossy().ends_with(ending)
                    && adapter.taken(&record(&entry.path())?).contains(&key)
                {
                    return Ok(Some(true));
                }
            }
        }
        Ok(Some(false))
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file of an agent's records.
fn record(path: &Path) -> io::Result<String> {
    let mut content = Vec::new();
    File::open(path)?.take(RECORD_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > RECORD_BYTES_MAX {
        return Err(io::Error::other("an agent's record is too large to be looked through"));
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// What was told and said.
#[derive(Debug)]
pub(super) struct Transcript {
    file: File,
    left: u64,
    secrets: Option<Secrets>,
}

impl Transcript {
    pub(super) fn told(&mut self, line: &[u8]) {
        self.note(b"> ", line);
    }

    pub(super) fn said(&mut self, line: &[u8]) {
        self.note(b"< ", line);
    }

    /// What does not fit any more, or cannot be written, is left out: a transcript is
    /// for people, and stops no work.
    fn note(&mut self, mark: &[u8], line: &[u8]) {
        let hidden = self.secrets.clone().map(|secrets| hide(secrets, line));
        let noted = [mark, hidden.as_deref().unwrap_or(line), b"\n"].concat();
        let Some(left) = self.left.checked_sub(noted.len() as u64) else { return };
        if self.file.write_all(&noted).is_ok() {
            self.left = left;
        }
    }
}

/// The key of a message in a conversation; of its opening, if there is no message. It
/// follows from both, so every engine knows it.
pub(super) fn key(conversation: &ConversationId, message: Option<MessageId>) -> Key {
    let message = message.map(|message| message.to_string()).unwrap_or_default();
    let digest = Sha256::digest(format!("{conversation} {message}"));
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    // Agents believe ids only that claim to be random.
    Key(Builder::from_random_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_message_is_found_in_what_the_agent_wrote_down_itself() {
        let scratch = tempfile::tempdir().unwrap();
        let conversation: ConversationId = "TP-1@app/1#1:worker~2".parse().unwrap();
        let place = Place::of(scratch.path(), &conversation);
        place.make(&conversation).unwrap();
        let [one, two] = [1, 2].map(|n| key(&conversation, Some(MessageId::numbered(n))));
        assert_ne!(one, two);
        let file = place.home().join("sessions/2026/rollout.jsonl");
        let entry = format!("{{\"payload\":{{\"item\":{{\"client_id\":\"{one}\"}}}}}}");
        Place::write(&file, &format!("{{}}\n{entry}\n")).unwrap();
        let has_taken = |key| place.has_taken(Adapter::Codex, key).unwrap();
        assert_eq!((has_taken(one), has_taken(two)), (Some(true), Some(false)));
        assert_eq!(place.has_taken(Adapter::Acp, one).unwrap(), None);
        let other: AttemptId = "TP-1@app/1#2".parse().unwrap();
        Place::clear(scratch.path(), &other).unwrap();
        assert_eq!(has_taken(one), Some(true), "it is of another attempt");
        // As go leaves what it has fetched.
        fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o555)).unwrap();
        Place::clear(scratch.path(), &conversation.agent.attempt).unwrap();
        assert_eq!(has_taken(one), None, "what is gone tells nothing");
    }
}

//! Chat hosts, beside what the crate `chat-hosts` knows of them: what we remember
//! of a connection, the hosts' own programs, and the server as a host starts it.

pub(crate) mod probe;
pub(crate) mod program;
pub(crate) mod record;

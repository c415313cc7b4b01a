//! What commands are told about the authorities that their guest trusts.
//!
//! The guest's own bundle has the operator's certificates in it, which is enough
//! for programs of the distribution. Others bring a bundle of their own and have
//! to be told: by a variable each, which every command gets that does not set it
//! itself.

use std::collections::BTreeMap;

use guest_protocol::frame::{Body, Frame};
use guest_protocol::message::{self, HostMessage};

/// The variables that name a bundle of certificates, and who reads them.
const VARIABLES: &[&str] = &[
    // OpenSSL, and with it Python, Ruby and others; Go; uv.
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    // Python's requests, and what is built on it.
    "REQUESTS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    // Node.js, npm, yarn, pnpm.
    "NODE_EXTRA_CA_CERTS",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
];

/// A frame of a client; if it starts a command, that command is told of `bundle`.
pub(crate) fn told(frame: Frame, bundle: &str) -> Frame {
    let Body::Control(payload) = &frame.body else { return frame };
    let Ok(HostMessage::Exec(mut exec)) = message::parse(frame.stream, payload) else {
        return frame;
    };
    let variables = VARIABLES.iter().map(|name| ((*name).to_owned(), bundle.to_owned()));
    let own = std::mem::take(&mut exec.env);
    exec.env = variables.chain(own).collect::<BTreeMap<_, _>>();
    // A request that is as long as one may be goes as it is.
    message::control(frame.stream, &HostMessage::Exec(exec)).unwrap_or(frame)
}

#[cfg(test)]
mod tests {
    use guest_protocol::frame::StreamId;
    use guest_protocol::message::Exec;

    use super::*;

    #[test]
    fn a_command_is_told_unless_it_says_otherwise() {
        let env = BTreeMap::from([("PIP_CERT".to_owned(), "own".to_owned())]);
        let exec = Exec { argv: vec!["true".into()], cwd: "/".into(), env, ..Exec::default() };
        let frame = message::control(StreamId(1), &HostMessage::Exec(exec)).unwrap();
        let Body::Control(payload) = told(frame, "/bundle").body else { panic!() };
        let Ok(HostMessage::Exec(exec)) = message::parse(StreamId(1), &payload) else { panic!() };
        assert_eq!(exec.env.len(), VARIABLES.len());
        assert_eq!(exec.env["PIP_CERT"], "own");
        assert_eq!(exec.env["SSL_CERT_FILE"], "/bundle");
    }

    #[test]
    fn everything_else_goes_as_it_is() {
        let frame = message::control(StreamId(1), &HostMessage::Sync).unwrap();
        assert_eq!(told(frame.clone(), "/bundle"), frame);
    }
}

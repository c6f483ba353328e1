//! cloud-init's own reports: `reporting: {x: {type: webhook, endpoint: http://127.0.0.1:169/webhook}}`.

use cloud_channel_protocol::server::{Peer, PeerAddress};
use cloud_channel_protocol::{Object, ReportingEvent};

/// Longest `name` we take; cloud-init's are far below.
const LONGEST_NAME: usize = 256;

/// Reports come from this machine: they can do no more than be shown, but nobody else's business is shown as ours.
pub(crate) fn may_report(peer: &Peer) -> bool {
    match &peer.address {
        PeerAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
        PeerAddress::Unix { .. } => true,
        PeerAddress::Vsock { .. } => false,
    }
}

/// Reads one event.
///
/// # Errors
/// Says which field is missing or wrong.
pub(crate) fn parse(body: &[u8]) -> Result<ReportingEvent, String> {
    let Object(event): Object<ReportingEvent> = serde_json::from_slice(body)
        .map_err(|error| format!("expected one reporting event of cloud-init as a JSON object: {error}"))?;
    if event.name.is_empty() || event.name.len() > LONGEST_NAME {
        return Err(format!("`name`: expected 1 to {LONGEST_NAME} bytes, got {}", event.name.len()));
    }
    if event.name.chars().any(char::is_control) {
        return Err("`name`: expected no control characters".to_owned());
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_inits_own_form_is_taken_and_given_back_the_same() {
        let start = r#"{"name":"init-network/config-write_files","description":"running config-write_files with frequency once-per-instance","event_type":"start","origin":"cloudinit","timestamp":1795343063.83}"#;
        let finish = r#"{"name":"init-network","description":"x","event_type":"finish","origin":"cloudinit","timestamp":1.5,"result":"SUCCESS","duration":0.0021,"files":[{"path":"/x","content":null,"encoding":"base64"}]}"#;
        for text in [start, finish] {
            assert_eq!(serde_json::to_string(&parse(text.as_bytes()).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn anything_else_is_told_what_is_wrong() {
        for (body, part) in [
            ("", "EOF"),
            ("[]", "invalid type: sequence, expected an object"),
            (r#"["init-network","","start","cloudinit",1]"#, "invalid type: sequence, expected an object"),
            (r#"{"name":"x"}"#, "missing field"),
            (
                r#"{"name":"a\nb","description":"","event_type":"start","origin":"o","timestamp":1}"#,
                "control",
            ),
            (r#"{"name":"a","description":"","event_type":"begin","origin":"o","timestamp":1}"#, "begin"),
            ("{\"name\":\"\u{0}", "control character"),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
        assert!(parse(b"\xff").is_err());
    }
}

//! What listeners call themselves.

use cloud_channel_protocol::Endpoint;

use crate::transport::listener::Listener;

async fn bound(endpoint: &str) -> Listener {
    Listener::bind(&Endpoint::parse(endpoint).unwrap(), None).await.unwrap()
}

#[tokio::test]
async fn a_tcp_listener_is_called_by_what_is_spoken_there() {
    let listener = bound("ws://127.0.0.1:0/metrics").await;
    let place = listener.endpoint().strip_prefix("ws://").unwrap();
    assert!(place.starts_with("127.0.0.1:") && place.ends_with("/metrics"), "{place}");
    assert_eq!(listener.http_endpoint(), format!("http://{place}"));
}

#[tokio::test]
async fn a_unix_sockets_path_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("unix://{}", folder.path().join("news.sock").display());
    let listener = bound(&endpoint).await;
    assert_eq!((listener.endpoint(), listener.http_endpoint()), (endpoint.as_str(), endpoint.clone()));
}

//! What one address may take of the public listener, and what its others keep.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use identity_proto::auth::v1::session_service_client::SessionServiceClient;
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tonic::transport::Channel;
use tonic_types::StatusExt;

use super::harness::{PATIENCE, TestServer, channel, list, metrics, refused};
use crate::{server::Limits, status::ErrorReason};

/// Addresses of this machine that are not the one which clients have by default.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn connect(address: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("binds");
    socket.connect(address).await.expect("connects")
}

/// Waits until the server closes the connection.
async fn closed(mut socket: TcpStream) {
    let read = timeout(PATIENCE, socket.read(&mut [0; 1])).await;
    let read = read.expect("is closed");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

fn client_from(address: SocketAddr, from: Ipv4Addr) -> SessionServiceClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
    let endpoint = endpoint.local_address(Some(IpAddr::V4(from)));
    SessionServiceClient::new(endpoint.connect_lazy())
}

fn one_connection() -> Limits {
    Limits {
        max_connections_per_address: Some(1),
        // Nothing else closes a connection that says nothing.
        handshake_timeout: PATIENCE * 10,
        ..Limits::default()
    }
}

fn one_call() -> Limits {
    Limits {
        max_calls_per_address: Some(1),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_connection_beyond_the_share_of_its_address_is_closed_at_once() {
    let server = TestServer::within(one_connection());
    let address = server.addresses.public;
    let mut first = server.client();
    first.list_sessions(list("ada")).await.expect("has a share");
    closed(connect(address, Ipv4Addr::LOCALHOST).await).await;
    let answer = client_from(address, OTHER).list_sessions(list("ada")).await;
    answer.expect("another address has its own share");
    first
        .list_sessions(list("ada"))
        .await
        .expect("keeps its place");
    drop(first);
    timeout(PATIENCE, async {
        while server.client().list_sessions(list("ada")).await.is_err() {}
    })
    .await
    .expect("a connection that ends makes room");
    server.stop().await;
}

#[tokio::test]
async fn a_call_beyond_the_share_of_its_address_is_told_when_to_come_back() {
    let server = TestServer::within(one_call());
    let address = server.addresses.public;
    let mut first = server.client();
    // It may be refused too, for as long as the other calls come first.
    let hanging = tokio::spawn(async move {
        loop {
            drop(first.list_sessions(list("hang")).await);
        }
    });
    let refusal = timeout(PATIENCE, async {
        loop {
            if let Err(status) = server.client().list_sessions(list("ada")).await {
                break status;
            }
        }
    })
    .await
    .expect("refuses");
    let refusal = refused(Err::<(), _>(refusal), ErrorReason::Overloaded);
    assert!(refusal.get_details_retry_info().is_some());
    let mut other = client_from(address, OTHER);
    let answer = other.list_sessions(list("ada")).await;
    answer.expect("another address has its own share");
    hanging.abort();
    timeout(PATIENCE, async {
        while server.client().list_sessions(list("ada")).await.is_err() {}
    })
    .await
    .expect("a caller who leaves makes room");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_a_call_under_way() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

    let server = TestServer::within(one_call());
    let mut health = HealthClient::new(channel(server.addresses.public));
    let unread = health.watch(HealthCheckRequest::default()).await;
    let answer = server.client().list_sessions(list("ada")).await;
    refused(answer, ErrorReason::Overloaded);
    drop(unread);
    timeout(PATIENCE, async {
        while server.client().list_sessions(list("ada")).await.is_err() {}
    })
    .await
    .expect("makes room");
    server.stop().await;
}

#[tokio::test]
async fn an_address_of_many_callers_has_no_share() {
    let server = TestServer::within(Limits {
        shared_addresses: vec!["127.0.0.0/31".parse().expect("a network")],
        ..one_connection()
    });
    let address = server.addresses.public;
    for _ in 0..3 {
        let mut client = server.client();
        let answer = client.list_sessions(list("ada")).await;
        answer.expect("has no share");
        drop(tokio::spawn(async move {
            client.list_sessions(list("hang")).await
        }));
    }
    let _only = connect(address, OTHER).await;
    closed(connect(address, OTHER).await).await;
    server.stop().await;
}

#[tokio::test]
async fn the_internal_listener_has_no_shares() {
    let server = TestServer::within(Limits {
        max_calls_per_address: Some(1),
        ..one_connection()
    });
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = SessionServiceClient::new(channel(server.addresses.internal));
        let answer = client.list_sessions(list("ada")).await;
        answer.expect("has no share");
        clients.push(client);
    }
    server.stop().await;
}

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines_with(&self, text: &str) -> Vec<String> {
        let log = self.0.lock().expect("not poisoned").clone();
        let log = String::from_utf8(log).expect("UTF-8");
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn many_refusals_are_one_line_and_each_is_counted() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let server = TestServer::within(Limits {
        refusal_log_interval: Duration::from_hours(1),
        ..one_connection()
    });
    let address = server.addresses.public;
    let _only = connect(address, OTHER).await;
    for _ in 0..20 {
        closed(connect(address, OTHER).await).await;
    }
    let page = metrics(server.addresses.admin).await;
    let counted = "server_connections_refused_total{limit=\"address\",listener=\"public\"} 20";
    assert!(page.contains(counted), "{page}");
    assert_eq!(log.lines_with("refused"), [""; 0]);
    server.stop().await;
    let lines = log.lines_with("refused");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("beyond_address_limit=20"), "{lines:?}");
}

//! SIGTERM ends a server once it has answered. Alone in its binary, because the signal goes to all of it.
#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use timemark_api::{serve, tsa};

#[test]
fn a_request_in_flight_is_answered_before_the_server_ends() {
    let (begun, has_begun) = mpsc::channel();
    let slow: tsa::Respond = std::sync::Arc::new(move |request: &[u8]| {
        begun.send(()).unwrap();
        thread::sleep(Duration::from_millis(500));
        request.to_vec()
    });
    let (address, addressed) = mpsc::channel();
    let server = thread::spawn(move || {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        serve(listen, tsa::router(slow), move |at| address.send(at).unwrap())
    });
    let url = format!("http://{}/tsa", addressed.recv().unwrap());
    let again = url.clone();
    let client = thread::spawn(move || {
        let request = ureq::post(&url).content_type("application/timestamp-query");
        request.send(&b"stamp me"[..]).unwrap().body_mut().read_to_vec().unwrap()
    });
    has_begun.recv().unwrap();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(client.join().unwrap(), b"stamp me");
    server.join().unwrap().unwrap();
    assert!(ureq::post(&again).send(&b""[..]).is_err(), "nobody listens any more");
}

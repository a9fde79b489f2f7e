//! The collector away, slow, refusing, silent, restarted, a stranger: clients are served, and all is accounted for.

use super::*;

#[test]
fn whatever_the_collector_does_clients_are_served_and_all_is_accounted_for() -> Result<()> {
    for behaviour in [
        Behaviour::Unavailable,
        Behaviour::Unauthenticated,
        Behaviour::Garbage,
        Behaviour::Close,
        Behaviour::RetryAfter(Duration::from_millis(300)),
        Behaviour::Slow(Duration::from_millis(700)),
    ] {
        let stand = Stand::new()?;
        let waits = matches!(behaviour, Behaviour::RetryAfter(_) | Behaviour::Slow(_));
        stand.recording.behave(behaviour.clone());
        stand.requests(30)?;
        let record = stand.gateway.record();
        record.wait("a call", PATIENCE, |c| c.answered + c.failed > 0)?;
        if !waits {
            stand.requests(30)?;
            assert!(
                !record.lines(Level::Warn).is_empty(),
                "{behaviour:?} is said in the log"
            );
            assert_eq!(record.metric("silhouette_acknowledged"), 0, "{behaviour:?}");
        }
        stand.recording.behave(Behaviour::Accept);
        let captured = if waits { 30 } else { 60 };
        stand
            .recording
            .wait_for(captured, PATIENCE)
            .with_context(|| format!("{behaviour:?}"))?;
        stand.adds_up(captured as i64)?;
        assert_eq!(dropped(&stand.gateway), 0, "{behaviour:?}: nothing is lost");
    }
    Ok(())
}

#[test]
fn a_batch_that_the_collector_will_never_take_is_dropped_and_counted() -> Result<()> {
    let stand = Stand::new()?;
    stand.recording.behave(Behaviour::InvalidArgument);
    stand.requests(10)?;
    stand.adds_up(10)?;
    assert_eq!(
        stand
            .gateway
            .record()
            .metric("silhouette_dropped_reason=rejected;"),
        10
    );
    stand.recording.behave(Behaviour::Accept);
    stand.requests(10)?;
    stand.recording.wait_for(10, PATIENCE)?;
    stand.adds_up(20)
}

#[test]
fn a_collector_that_says_nothing_is_given_up_by_the_clock() -> Result<()> {
    // Kong 3.4 never tells of a call that has failed, 3.10 does after the timeout.
    for kong in [Kong::V3_4, Kong::V3_10] {
        let stand = Stand::with(kong, &json!({}))?;
        stand.recording.behave(Behaviour::Silent);
        stand.requests(10)?;
        let record = stand.gateway.record();
        record.wait("a call", PATIENCE, |c| c.calls >= 1)?;
        stand.requests(10)?;
        stand.recording.behave(Behaviour::Accept);
        let exchanges = stand.recording.wait_for(20, PATIENCE)?;
        assert_eq!(exchanges.len(), 20, "{}", kong.version);
        assert!(record.contents().failed >= 1, "{}", kong.version);
        record.is_clean()?;
    }
    Ok(())
}

#[test]
fn without_a_collector_the_queue_is_bounded() -> Result<()> {
    let origin = Origin::start()?;
    let settings = json!({ "queue_bytes": "64k" });
    let options =
        Options::new(origin.address()).chain("/", configuration("http://127.0.0.1:9", &settings));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    requests(&gateway, 500)?;
    let record = gateway.record();
    let full = || record.metric("silhouette_dropped_reason=queue_full;") > 0;
    wait_until("the queue is full", PATIENCE, full)?;
    let all = || record.metric("silhouette_captured") == 500;
    wait_until("all are counted", PATIENCE, all)?;
    assert!(record.metric("silhouette_queue_bytes") <= 64 << 10);
    assert_eq!(record.metric("silhouette_queued") + dropped(&gateway), 500);
    logged(&gateway, &["127.0.0.1:9"])?;
    record.is_clean()
}

#[test]
fn under_load_memory_stays_small_and_nothing_is_lost_uncounted() -> Result<()> {
    let stand = Stand::new()?;
    let url = stand.gateway.url("/json?size=1024&n=[1-2500]");
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || {
                curl([
                    "-f",
                    "-H",
                    "Content-Type: application/json",
                    "-d",
                    "{\"a\":[1,2,3]}",
                    &url,
                    "--max-time",
                    "120",
                ])
            })
        })
        .collect();
    for client in clients {
        let answer = client.join().ok().context("curl")??;
        ensure!(answer.exit == 0, "{}", answer.error);
    }
    stand.adds_up(10_000)?;
    let contents = stand.gateway.record().contents();
    assert!(
        contents.memory <= 8 << 20,
        "{} KiB of linear memory",
        contents.memory >> 10
    );
    assert_eq!(
        stand.recording.exchanges().len() as i64,
        stand.gateway.record().metric("silhouette_acknowledged")
    );
    Ok(())
}

#[test]
fn a_real_collector_learns_what_passed_and_may_restart() -> Result<()> {
    let (mut collector, origin) = (Collector::start(&[])?, Origin::start()?);
    let options =
        Options::new(origin.address()).chain("/", configuration(&collector.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    let learnt = |collector: &Collector| {
        collector
            .metric("silhouette_exchanges_received_total", "")
            .unwrap_or(0.0)
    };
    let ask = |count: usize| {
        let url = gateway.url(&format!("/json?n=[1-{count}]"));
        let answer = curl(["-f", "-H", "Host: books.example", &url])?;
        ensure!(answer.exit == 0, "{}", answer.error);
        anyhow::Ok(())
    };
    ask(50)?;
    wait_until("received", PATIENCE, || learnt(&collector) >= 50.0)?;
    collector.kill_9();
    ask(50)?;
    let record = gateway.record();
    record.wait("a call that fails", PATIENCE, |c| c.failed > 0)?;
    collector.restart()?;
    let arrived = || record.metric("silhouette_acknowledged") == 100;
    wait_until("all is acknowledged", PATIENCE, arrived)?;
    logged(&gateway, &["silhouette"])?;
    let document = || collector.document("books.example").is_ok();
    wait_until("the document", PATIENCE, document)?;
    record.is_clean()
}

#[test]
fn a_collector_behind_tls_is_trusted_or_not() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let recording = Recording::start_tls(&authority.server()?)?;
    let origin = Origin::start()?;
    for (trusted, arrives) in [(&authority, true), (&stranger, false)] {
        recording.clear();
        let options = Options {
            trusted: Some(trusted.ca_file().to_owned()),
            ..Options::new(origin.address())
        };
        let options = options.chain("/", configuration(&recording.tls_url(), &json!({})));
        let gateway = Gateway::start_module(strict::module()?, options)?;
        requests(&gateway, 5)?;
        match arrives {
            true => assert_eq!(recording.wait_for(5, PATIENCE)?.len(), 5),
            false => {
                gateway
                    .record()
                    .wait("a call that fails", PATIENCE, |c| c.failed > 0)?;
                assert_eq!(recording.exchanges().len(), 0);
            }
        }
        gateway.record().is_clean()?;
    }
    Ok(())
}

#[test]
fn an_address_that_is_no_collector_is_named_in_the_log() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let _ = socket.read(&mut [0; 4096]);
            let _ =
                socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found");
        }
    });
    let origin = Origin::start()?;
    let options = Options::new(origin.address())
        .chain("/", configuration(&format!("http://{address}"), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    requests(&gateway, 3)?;
    logged(&gateway, &[&address, "404"])?;
    gateway.record().is_clean()
}

#[test]
fn whatever_a_stranger_answers_is_bounded_in_memory_and_in_the_log() -> Result<()> {
    let trailers = b"grpc-status:16\r\ngrpc-message:no%0Ano such token\r\n";
    let mut said = vec![0x80, 0, 0, 0];
    said.push(u8::try_from(trailers.len())?);
    said.extend_from_slice(trailers);
    for (body, words) in [
        (vec![0; 32 << 20], &["no gRPC-Web"][..]),
        (said, &["refuses the token", "no no such token"]),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                let _ = socket.read(&mut [0; 4096]);
                let _ = socket.write_all(head.as_bytes());
                let _ = socket.write_all(&body);
            }
        });
        let origin = Origin::start()?;
        let configuration = configuration(&format!("http://{address}"), &json!({}));
        let options = Options::new(origin.address()).chain("/", configuration);
        let gateway = Gateway::start_module(strict::module()?, options)?;
        requests(&gateway, 3)?;
        let line = logged(&gateway, words)?;
        assert!(!line.contains('\n'), "{line}");
        let memory = gateway.record().contents().memory;
        assert!(memory <= 8 << 20, "{} KiB of linear memory", memory >> 10);
        gateway.record().is_clean()?;
    }
    Ok(())
}

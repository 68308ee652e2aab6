"""The health and metrics pages of a running daemon."""

from prometheus_client.parser import text_string_to_metric_families


def test_pages_of_a_running_daemon(daemon, flightpath):
    one = daemon().ready()
    assert one.get("/livez") == (200, "ok\n")
    assert one.get("/startupz") == (200, "ok\n")
    assert one.get("/nothing")[0] == 404
    listen = f"127.0.0.1:{one.port}"
    assert flightpath("healthcheck", http_listen=listen).code == 0
    assert one.stop() == 0
    assert flightpath("healthcheck", http_listen=listen).code == 1


def test_metrics_are_what_prometheus_reads(daemon):
    one = daemon().ready()
    page = one.get("/metrics")[1]
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families["flightpath_messages"].type == "counter"
    assert families["flightpath_flush_seconds"].type == "histogram"
    assert families["flightpath_ready"].samples[0].value == 1
    results = {s.labels["result"] for s in families["flightpath_records"].samples}
    assert results == {"applied", "duplicate", "revised", "voided", "rejected", "ignored"}
    for family in families.values():
        assert family.documentation and family.type != "unknown", family.name
        assert family.name.startswith(("flightpath_", "process_"))
        for sample in family.samples:
            # nothing that came in a message
            assert set(sample.labels) <= {"le", "result", "topic", "partition", "version"}


def test_an_outage_of_postgres_restarts_nobody(daemon, postgres, wait_for):
    one = daemon().ready()
    try:
        postgres.stop()
        wait_for(lambda: one.get("/readyz")[0] == 503, "not ready without PostgreSQL", 60)
        assert one.get("/livez") == (200, "ok\n")
        assert one.get("/startupz") == (200, "ok\n")
    finally:
        postgres.start()
    one.ready()

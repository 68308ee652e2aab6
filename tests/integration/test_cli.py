"""The command line: help, refusals, exit codes, where options come from."""

import http.server
import json
import socket
import subprocess
import threading

import pytest

from support.paths import BIN, clean_environment

COMMANDS = ["run", "check", "migrate", "generate", "demo", "verify", "dead-letters", "healthcheck",
            "erase", "analyze", "explain", "whatif", "backtest", "reference"]


def test_help_lists_every_command(flightpath):
    result = flightpath("--help")
    assert result.code == 0 and result.err == ""
    listed = [line.split()[0] for line in result.out.splitlines() if line.startswith("  ")]
    assert listed == COMMANDS
    assert flightpath("help").out == flightpath("-h").out == result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(flightpath, command):
    result = flightpath(command, "--help")
    assert result.code == 0 and result.err == ""
    assert result.out.startswith(f"Usage: flightpath {command} [OPTIONS]")
    assert "--config FILE" in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    assert flightpath("help", command).out == result.out
    # help wins over everything else on the line
    assert flightpath(command, "--no-such-option", "--help").out == result.out


def test_version(flightpath):
    result = flightpath("--version")
    assert result.code == 0
    assert result.out.startswith("flightpath ") and result.out.count("\n") == 1


def test_no_command(flightpath):
    result = flightpath()
    assert result.code == 2 and result.out == ""
    assert result.err.startswith("Usage: flightpath COMMAND")


@pytest.mark.parametrize("word,answer", [
    ("rnu", "did you mean run?"),
    ("migarte", "did you mean migrate?"),
    ("frobnicate", "see flightpath --help"),
    ("--run", "did you mean run?"),
])
def test_unknown_command(flightpath, word, answer):
    result = flightpath(word)
    assert result.code == 2 and result.out == ""
    assert result.err == f'flightpath: unknown command "{word}"; {answer}\n'


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option(flightpath, command):
    result = flightpath(command, "--lgo-level=info")
    assert result.code == 2 and result.out == ""
    assert "flag --lgo-level: lgo_level: unknown option; did you mean log_level?" in result.err


def test_all_problems_at_once(flightpath, tmp_path):
    config = tmp_path / "flightpath.conf"
    config.write_text("# settings\nflush_ms = soon\nlanse = 3\nbatch_bytes = 1 MB\n")
    result = flightpath("run", "--lanes=65", "--on-offset-lost", "panic", config=config,
                        env={"FLIGHTPATH_DEDUP_WINDOW": "-1"})
    assert result.code == 2 and result.out == ""
    lines = result.err.splitlines()
    assert lines[0] == "flightpath run: the configuration is not right:"
    for wanted in (
            f"{config}:2: flush_ms: \"soon\" is not a duration",
            f"{config}:3: lanse: unknown option; did you mean lanes?",
            f"{config}:4: batch_bytes: \"1 MB\" is not a size",
            "environment FLIGHTPATH_DEDUP_WINDOW: dedup_window: \"-1\" is out of range; give 0 to",
            "flag --lanes: lanes: \"65\" is out of range; give 1 to 64",
            "flag --on-offset-lost: on_offset_lost: \"panic\" is not one of halt|skip",
            "model: is required", "postgres: is required", "kafka.bootstrap.servers: is required"):
        assert any(line.startswith(wanted) for line in lines[1:]), f"{wanted}\nnot in\n{result.err}"
    assert len(lines) == 10


def started_with(flightpath, tmp_path, **options):
    """What `run` says its options are, before it fails for want of the model file."""
    result = flightpath("run", model=tmp_path / "none.json", postgres="host=127.0.0.1 port=1",
                        **{"kafka.bootstrap.servers": "127.0.0.1:1"}, **options)
    assert result.code != 0
    dumps = [json.loads(line) for line in result.err.splitlines() if '"event":"options"' in line]
    assert len(dumps) == 1, result.err
    return dumps[0], result.err


def test_flags_beat_environment_beats_file(flightpath, tmp_path):
    config = tmp_path / "flightpath.conf"
    config.write_text("flush_ms = 100\nlanes = 2\ngroup = file\n")
    env = {"FLIGHTPATH_CONFIG": str(config), "FLIGHTPATH_LANES": "3",
           "FLIGHTPATH_FLUSH_MS": "200"}
    shown, _ = started_with(flightpath, tmp_path, env=env, flush_ms="300ms")
    assert shown["flush_ms"] == {"value": "300ms", "from": "flag --flush-ms"}
    assert shown["lanes"] == {"value": "3", "from": "environment FLIGHTPATH_LANES"}
    assert shown["group"] == {"value": "file", "from": f"{config}:3"}
    assert shown["shutdown_ms"] == {"value": "30s", "from": "default"}


def test_secrets_do_not_reach_the_log(flightpath, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    env = {"FLIGHTPATH_KAFKA_SASL_PASSWORD_FILE": str(secret),
           "FLIGHTPATH_POSTGRES": "postgresql://u:hunter2@127.0.0.1:1/d?password=hunter2"}
    result = flightpath("run", model=tmp_path / "none.json", env=env,
                        **{"kafka.bootstrap.servers": "127.0.0.1:1"})
    assert result.code != 0
    assert "hunter2" not in result.out + result.err
    assert "postgresql://u:***@127.0.0.1:1/d?password=***" in result.err


def test_a_bad_configuration_does_not_hide_a_bad_model(flightpath, tmp_path):
    model = tmp_path / "model.json"
    model.write_text('{"programme": 7}')
    result = flightpath("check", "--lanes=0", model=model)
    assert result.code == 2
    assert 'lanes: "0" is out of range' in result.err
    assert "$.programme" in result.out + result.err


def test_reference_page(flightpath, tmp_path):
    result = flightpath("reference")
    assert result.code == 0
    for name in ("model", "topics", "group", "postgres", "subject_key_file", "dead_letters_topic",
                 "alerts_topic", "http_listen", "flush_ms", "kafka.bootstrap.servers"):
        assert f"`{name}`" in result.out
    page = tmp_path / "reference.md"
    assert flightpath("reference", out=page).code == 0
    assert page.read_text() == result.out
    assert flightpath("reference", out=tmp_path / "none" / "x").code == 1


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([BIN, "reference"], stdout=full, stderr=subprocess.PIPE, text=True,
                              env=clean_environment(), timeout=30)
    assert done.returncode == 1
    assert "could not be written" in done.stderr


def test_a_reader_that_goes_away_is_no_crash():
    done = subprocess.run(["bash", "-c", '"$0" reference | true; exit "${PIPESTATUS[0]}"', BIN],
                          env=clean_environment(), timeout=30, capture_output=True)
    assert done.returncode in (0, 1)  # not killed by SIGPIPE


# ---- healthcheck ---------------------------------------------------------------------------------


@pytest.fixture
def web():
    """A server that answers each path with a status of the test's choice."""
    statuses = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()
            self.wfile.write(b"told so\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], statuses
    server.shutdown()
    thread.join()
    server.server_close()


def test_healthcheck(flightpath, web):
    port, statuses = web
    listen = f"127.0.0.1:{port}"
    statuses |= {"/readyz": 503, "/livez": 200}
    result = flightpath("healthcheck", http_listen=listen)
    assert (result.code, result.out, result.err) == (1, "", "told so\n")
    assert flightpath("healthcheck", live=True, http_listen=listen).code == 0
    statuses |= {"/readyz": 200, "/livez": 503}
    result = flightpath("healthcheck", http_listen=listen)
    assert (result.code, result.out) == (0, "told so\n")
    assert flightpath("healthcheck", "--live", http_listen=listen).code == 1
    # as a container does it: the environment of `run`
    assert flightpath("healthcheck", env={"FLIGHTPATH_HTTP_LISTEN": f":{port}"}).code == 0


def test_healthcheck_of_nothing(flightpath):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # taken, but nobody listens
        result = flightpath("healthcheck", http_listen=f"127.0.0.1:{sock.getsockname()[1]}")
    assert result.code == 1 and "no answer from" in result.err
    result = flightpath("healthcheck", http_listen="127.0.0.1:0")
    assert result.code == 2 and "port it logged" in result.err
    result = flightpath("healthcheck", "--http-listen=")
    assert result.code == 1 and "is off" in result.err
    result = flightpath("healthcheck", http_listen="somewhere")
    assert result.code == 2 and "HOST:PORT" in result.err

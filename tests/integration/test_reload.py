"""A new model while messages come in: from one record to the next, or not at all."""

import json
import os
import signal

import pytest

OPTIONS = {"batch_messages": 300, "flush_ms": 50, "kafka.session.timeout.ms": 6000}
KPI = "bag_drop_soon"


class File:
    """The model file of a running daemon, changed as an editor or Kubernetes does: by renaming."""

    def __init__(self, path, text):
        self.path, self.document = path, json.loads(text)
        self.write(text)

    def write(self, text):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self.path)

    def within(self, seconds):
        """Another definition of the KPI."""
        for kpi in self.document["kpis"]:
            if kpi["id"] == KPI:
                kpi["source"]["within"] = seconds
        self.write(json.dumps(self.document))


@pytest.fixture
def file(tmp_path, model):
    return File(tmp_path / "model.json", model.read_text())


def ranges(pipeline):
    """Per partition: the ledger's ranges as (first, next, model), whatever their coefficients."""
    found = {}
    for topic, part, *row in pipeline.query(
            "SELECT topic, partition, first_offset, next_offset, model_hash"
            " FROM flightpath.ledger ORDER BY topic, partition, first_offset"):
        its = found.setdefault((topic, part), [])
        if its and its[-1][1:] == (row[0], row[2]):
            row[0] = its.pop()[0]
        its.append(tuple(row))
    return found


def series(pipeline):
    return pipeline.query("SELECT series, current FROM flightpath.kpi"
                          " WHERE kpi = %s ORDER BY series", KPI)


def verify(pipeline, flightpath, subject_key, kafka):
    """Each range of the ledger against the model that it names."""
    done = flightpath("verify", postgres=pipeline.database.conninfo, topics=pipeline.topics.both,
                      subject_key_file=subject_key,
                      dead_letters_topic=pipeline.topics.dead_letters,
                      **{"kafka.bootstrap.servers": kafka.bootstrap})
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize("how", ["sighup", "file"])
def test_a_new_definition_starts_a_new_series(pipeline, daemon, faults_bin, file, flightpath,
                                              subject_key, kafka, wait_for, how):
    pipeline.generate(4000, seed=71).send(1500)
    one = daemon(binary=faults_bin, model=file.path, **OPTIONS).ready()
    pipeline.caught_up()
    before = ranges(pipeline)
    assert len(series(pipeline)) == 1 and all(len(r) == 1 for r in before.values())
    pipeline.send(700)  # while the file changes
    file.within(300)
    if how == "sighup":
        one.signal(signal.SIGHUP)
    pipeline.send(300)
    wait_for(lambda: one.events("model_reloaded"), "the model is reloaded", 20)
    pipeline.send().caught_up()
    assert one.metrics()["flightpath_model_reloads_total"] == 1
    assert one.stop() == 0
    (old, was), (new, now) = series(pipeline)
    assert (was, now) == (False, True), "the old series stands as it is"
    for part, (first, second) in ranges(pipeline).items():
        assert first[2] == before[part][0][2] != second[2]
        assert first[1] == second[0], "the new range begins where the old one ends"
        assert first[0] == 0 and second[1] == pipeline.ends()[part]
    both = pipeline.query("SELECT series, sum(n)::bigint FROM flightpath.tally_day"
                          " WHERE series IN (%s, %s) GROUP BY 1 ORDER BY 1", old, new)
    assert len(both) == 2 and min(n for _, n in both) > 0, "both have counted"
    assert pipeline.counts() == pipeline.stream.truth["counts"], "no message was lost"
    # by the new model, all but this KPI is as if it had never changed
    pipeline.model = file.path
    differences = pipeline.differences()
    assert {d["what"] for d in differences} <= {"tally_hour", "tally_day", "kpi_hour", "kpi_day"}
    assert {d["key"][0] for d in differences} == {KPI}
    # and of this one, the old series has what the new one lacks
    expected = sum(d["expected"][0] for d in differences if d["what"] == "tally_day")
    found = sum(d["found"][0] for d in differences if d["what"] == "tally_day" and d["found"])
    assert expected - found == dict(both)[old]
    verify(pipeline, flightpath, subject_key, kafka)


def test_a_bad_file_keeps_the_old_model(pipeline, daemon, faults_bin, file, wait_for):
    good = file.path.read_text()
    pipeline.generate(2500, seed=72).send(1000)
    one = daemon(binary=faults_bin, model=file.path, **OPTIONS).ready()
    pipeline.caught_up()
    file.document["kpis"][0]["target"] = "much"
    file.document["kpis"][1]["grain"] = "minute"
    file.document["kpis"][2]["source"] = {"item": "no_such_item"}
    file.write(json.dumps(file.document))
    one.signal(signal.SIGHUP)
    wait_for(lambda: one.events("model_kept"), "the new file is refused", 20)
    problems = " ".join(e["msg"] for e in one.events("model_problem"))
    for path in ("kpis[0].target", "kpis[1].grain", "kpis[2].source"):
        assert path in problems, f"{path} is named in: {problems}"
    pipeline.send(500).caught_up()
    file.write('{"model": "flightpath/1"')
    one.signal(signal.SIGHUP)
    wait_for(lambda: len(one.events("model_kept")) == 2, "half a file is refused", 20)
    file.path.unlink()
    one.signal(signal.SIGHUP)
    pipeline.send(500).caught_up()
    assert one.get("/readyz")[0] == 200
    assert all(len(r) == 1 for r in ranges(pipeline).values()), "one model all along"
    file.write(good)
    one.signal(signal.SIGHUP)
    pipeline.send().caught_up()
    assert not one.events("model_reloaded"), "the same model as before is no change"
    assert one.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]

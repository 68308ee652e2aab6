/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Structured, binary and plain messages; headers, content types, wire prefix, tombstones. */
#include "decode_support.h"

#include "daemon/envelope.h"

#define T0 INT64_C(1772449449000000) /* 2026-03-02T11:04:09Z */
#define DATA "{\"journey\":\"j\",\"unit\":\"u\"}"
#define MEMBERS \
    "\"id\":\"i\",\"source\":\"/s\",\"type\":\"experience.touchpoint.v1\"," \
    "\"subject\":\"c\",\"time\":\"2026-03-02T11:04:09Z\",\"data\":" DATA
#define PLAIN "{" MEMBERS "}"
#define STRUCTURED "{\"specversion\":\"1.0\"," MEMBERS "}"

TestSuite(decode_envelope, .init = open_decoder, .fini = close_decoder);

#define HEADER(header_name, text) {.name = header_name, .value = text, .len = sizeof text - 1}
#define COUNT(array) (sizeof array / sizeof *array)
#define IS(slice, text) cr_expect(fp_slice_is(slice, text), "%.*s", (int)(slice).len, (slice).at)

/* A complete set, to be spoilt one by one. */
enum { SPECVERSION, ID, SOURCE, TYPE, SUBJECT, TIME, CONTENT_TYPE, SET };
static const struct fp_header complete[SET] = {
    HEADER("ce_specversion", "1.0"), HEADER("ce_id", "i"), HEADER("ce_source", "/s"),
    HEADER("ce_type", "experience.touchpoint.v1"), HEADER("ce_subject", "c"),
    HEADER("ce_time", "2026-03-02T11:04:09Z"), HEADER("content-type", "application/json")};

static enum fp_status with_headers(const char *body, const struct fp_header *headers, size_t count)
{
    return decode_bytes(body, strlen(body), headers, count);
}

static void is_the_sample(enum fp_status status)
{
    cr_assert_eq(status, FP_OK, "%s at '%s': %s", err.code, err.where, err.what);
    cr_expect_eq(event.type, FP_EVENT_TOUCHPOINT);
    IS(event.id, "i");
    IS(event.source, "/s");
    IS(event.subject, "c");
    IS(event.journey, "j");
    IS(event.unit, "u");
    cr_expect_eq(event.time_us, T0);
}

static void refuses(const char *body, const char *code, const char *where)
{
    was_refused(decode_text(body), code, where, body);
}

/* The complete set with one header replaced. */
static enum fp_status binary_with(int which, struct fp_header other)
{
    struct fp_header headers[SET];
    memcpy(headers, complete, sizeof headers);
    headers[which] = other;
    return with_headers(DATA, headers, SET);
}

/* ---- the three modes ------------------------------------------------------------------------- */

Test(decode_envelope, plain_and_structured)
{
    is_the_sample(decode_text(PLAIN));
    is_the_sample(decode_text(STRUCTURED));
    static const struct fp_header types[] = {
        HEADER("content-type", "application/cloudevents+json; charset=UTF-8"),
        HEADER("Content-Type", "Application/CloudEvents+JSON"), HEADER("content-type", ""),
        HEADER("content-type", "application/json"), {.name = "content-type"},
        HEADER("traceparent", "00-1-1-01")};
    for (size_t i = 0; i < COUNT(types); i++)
        is_the_sample(with_headers(STRUCTURED, &types[i], 1));
    refuses("{\"specversion\":\"0.3\"," MEMBERS "}", "bad_specversion", "specversion");
    refuses("{\"specversion\":\"\"," MEMBERS "}", "bad_specversion", "specversion");
    refuses("{\"specversion\":1.0," MEMBERS "}", "type_mismatch", "specversion");
    is_the_sample(decode_text("{\"specversion\":null," MEMBERS "}"));
    is_the_sample(decode_text("{\"traceparent\":[{}],\"Id\":7," MEMBERS ",\"extension\":1}"));
}

Test(decode_envelope, binary)
{
    is_the_sample(with_headers(DATA, complete, SET));
    is_the_sample(with_headers(DATA, complete, CONTENT_TYPE)); /* none */
    is_the_sample(with_headers(DATA, complete + 1, SET - 1));  /* no specversion: forgiven */
    struct fp_header turned[SET + 3] = {HEADER("ce_extension", "\xFF"), HEADER("CE_ID", "other"),
                                        HEADER("x", "y")};
    for (int i = 0; i < SET; i++)
        turned[3 + i] = complete[SET - 1 - i];
    is_the_sample(with_headers(DATA, turned, COUNT(turned)));
    cr_expect_eq(binary_with(SUBJECT, (struct fp_header){.name = "ce_subject"}), FP_OK);
    cr_expect(event.subject.at == NULL); /* a null header is an absent attribute */
}

/* Copies of the attributes as headers of a structured event do not count. */
Test(decode_envelope, structured_mode_wins)
{
    struct fp_header headers[SET];
    memcpy(headers, complete, sizeof headers);
    headers[ID] = (struct fp_header)HEADER("ce_id", "copy");
    headers[CONTENT_TYPE] =
        (struct fp_header)HEADER("content-type", "application/cloudevents+json");
    is_the_sample(with_headers(STRUCTURED, headers, SET));
    is_the_sample(with_headers(STRUCTURED, headers, CONTENT_TYPE)); /* the body says it is one */
    headers[SUBJECT] = headers[ID];
    is_the_sample(with_headers(PLAIN, (struct fp_header[]){headers[CONTENT_TYPE], headers[ID],
                                                           headers[SUBJECT]}, 3));
    /* data that merely have a member of that name, declared as JSON */
    cr_expect_eq(with_headers("{\"specversion\":1,\"journey\":\"j\"}", complete, SET), FP_OK);
    IS(event.id, "i");
}

/* The Kafka binding has no percent-encoding: a source is the same text in each mode. */
Test(decode_envelope, header_values_are_taken_literally)
{
    cr_assert_eq(
        binary_with(SOURCE, (struct fp_header)HEADER("ce_source", "/a%20b%2541\xC3\xA4\n")), FP_OK);
    IS(event.source, "/a%20b%2541\xC3\xA4\n");
}

/* ---- faults of headers ----------------------------------------------------------------------- */

Test(decode_envelope, faults_of_headers)
{
    static const struct {
        int which;
        struct fp_header header;
        const char *code, *where;
    } samples[] = {
        {SPECVERSION, HEADER("ce_specversion", "1.1"), "bad_specversion", "specversion"},
        {ID, HEADER("ce_id", ""), "bad_value", "id"},
        {ID, {.name = "ce_id"}, "missing_field", "id"},
        {ID, HEADER("other", "i"), "missing_field", "id"},
        {ID, HEADER("ce_id", "a\0b"), "nul_in_string", "ce_id"},
        {ID, HEADER("ce_id", "a\xC0\xAF"), "bad_utf8", "ce_id"},
        {ID, HEADER("ce_source", "/s"), "duplicate_key", "ce_source"},
        {SOURCE, HEADER("x", ""), "missing_field", "source"},
        {SOURCE, HEADER("ce_id", "again"), "duplicate_key", "ce_id"},
        {TYPE, HEADER("x", ""), "missing_field", "type"},
        {TYPE, HEADER("ce_type", "experience.visit.v1"), "unknown_type", "type"},
        {SUBJECT, HEADER("ce_subject", ""), "bad_value", "subject"},
        {TIME, HEADER("ce_time", "now"), "bad_time", "time"},
        {TIME, HEADER("x", ""), "missing_field", "time"},
        {CONTENT_TYPE, HEADER("content-type", "application/avro"), "bad_content_type",
         "content-type"},
        {CONTENT_TYPE, HEADER("content-type", "application/cloudevents+avro"), "bad_content_type",
         "content-type"},
        {SUBJECT, HEADER("content-type", "text/json"), "bad_content_type",
         "content-type"}, /* given twice */
        {SUBJECT, HEADER("ce_datacontenttype", "text/xml"), "bad_content_type", "datacontenttype"},
    };
    for (size_t i = 0; i < COUNT(samples); i++)
        was_refused(binary_with(samples[i].which, samples[i].header), samples[i].code,
                    samples[i].where, samples[i].header.name);
}

Test(decode_envelope, long_headers)
{
    static char text[70000];
    memset(text, 'x', sizeof text);
    struct fp_header id = {"ce_id", text, 256};
    cr_expect_eq(binary_with(ID, id), FP_OK);
    cr_expect_eq(event.id.len, 256);
    id.len = 257;
    was_refused(binary_with(ID, id), "string_too_long", "id", "257");
    id.len = sizeof text;
    was_refused(binary_with(ID, id), "string_too_long", "id", "70000");
    struct fp_header type = {"content-type", text, sizeof text};
    was_refused(binary_with(CONTENT_TYPE, type), "bad_content_type", "content-type", "70000");
}

Test(decode_envelope, a_hundred_thousand_headers)
{
    size_t count = 100000;
    struct fp_header *many = calloc(count, sizeof *many);
    for (size_t i = 0; i < count; i++)
        many[i] = (struct fp_header)HEADER("ce_extension", "some value");
    memcpy(many + 40000, complete, sizeof complete);
    is_the_sample(with_headers(DATA, many, count));
    free(many);
}

Test(decode_envelope, faults_of_binary_data)
{
    static const struct {
        const char *body, *code, *where;
    } samples[] = {
        {"", "empty", ""},
        {" ", "empty", ""},
        {"[]", "not_an_object", "data"},
        {"\"x\"", "not_an_object", "data"},
        {"null", "not_an_object", "data"},
        {"{}", "missing_field", "data.journey"},
        {"{\"journey\":1}", "type_mismatch", "data.journey"},
        {"{\"journey\":01}", "bad_json", "journey"},
        {"Obj\x01", "bad_json", ""},
    };
    for (size_t i = 0; i < COUNT(samples); i++)
        was_refused(with_headers(samples[i].body, complete, SET), samples[i].code, samples[i].where,
                    samples[i].body);
}

/* ---- identity -------------------------------------------------------------------------------- */

Test(decode_envelope, faults_of_members)
{
    static const char rest[] = ",\"time\":\"2026-03-02T11:04:09Z\",\"data\":" DATA "}";
    static const struct {
        const char *head, *code, *where;
    } samples[] = {
        {"{\"source\":\"s\",\"type\":\"experience.case.v1\"", "missing_field", "id"},
        {"{\"id\":null,\"source\":\"s\",\"type\":\"experience.case.v1\"", "missing_field", "id"},
        {"{\"id\":7,\"source\":\"s\",\"type\":\"experience.case.v1\"", "type_mismatch", "id"},
        {"{\"id\":\"\",\"source\":\"s\",\"type\":\"experience.case.v1\"", "bad_value", "id"},
        {"{\"id\":\"i\",\"type\":\"experience.case.v1\"", "missing_field", "source"},
        {"{\"id\":\"i\",\"source\":\"s\"", "missing_field", "type"},
        {"{\"id\":\"i\",\"source\":\"s\",\"type\":\"\"", "bad_value", "type"},
        {"{\"id\":\"i\",\"source\":\"s\",\"type\":{}", "type_mismatch", "type"},
        {"{\"id\":\"i\",\"source\":\"s\",\"type\":\"experience.\"", "unknown_type", "type"},
        {"{\"id\":\"i\",\"source\":\"s\",\"type\":\"experience.case.v2\"", "unknown_type", "type"},
        {"{\"id\":\"i\",\"source\":\"s\",\"type\":\"experience.case.v1 \"", "unknown_type", "type"},
        {"{\"id\":\"i\",\"source\":\"s\",\"subject\":\"\",\"type\":\"experience.case.v1\"",
         "bad_value", "subject"},
        {"{\"id\":\"i\",\"source\":\"s\",\"datacontenttype\":\"text/xml\","
         "\"type\":\"experience.case.v1\"",
         "bad_content_type", "datacontenttype"},
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        char text[400];
        strcpy(text, samples[i].head);
        strcat(text, rest);
        refuses(text, samples[i].code, samples[i].where);
    }
}

Test(decode_envelope, faults_of_data_and_time)
{
    static const char head[] = "{\"id\":\"i\",\"source\":\"s\",\"type\":\"experience.erasure.v1\",";
    static const struct {
        const char *tail, *code, *where;
    } samples[] = {
        {"\"time\":\"2026-03-02T11:04:09Z\"}", "missing_field", "data"},
        {"\"time\":\"2026-03-02T11:04:09Z\",\"data\":null}", "missing_field", "data"},
        {"\"time\":\"2026-03-02T11:04:09Z\",\"data_base64\":\"e30=\"}", "missing_field", "data"},
        {"\"time\":\"2026-03-02T11:04:09Z\",\"data\":[]}", "type_mismatch", "data"},
        {"\"time\":\"2026-03-02T11:04:09Z\",\"data\":\"{}\"}", "type_mismatch", "data"},
        {"\"time\":1772449449,\"data\":{\"subject\":\"x\"}}", "type_mismatch", "time"},
        {"\"time\":\"1772449449\",\"data\":{\"subject\":\"x\"}}", "bad_time", "time"},
        {"\"time\":\"\",\"data\":{\"subject\":\"x\"}}", "bad_time", "time"},
        {"\"time\":\"1969-12-31T23:59:59Z\",\"data\":{\"subject\":\"x\"}}", "bad_time", "time"},
        {"\"time\":\"0000-00-00T00:00:00Z\",\"data\":{\"subject\":\"x\"}}", "bad_time", "time"},
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        char text[400];
        strcpy(text, head);
        strcat(text, samples[i].tail);
        refuses(text, samples[i].code, samples[i].where);
    }
    static const char *const roots[] = {"[]", "null", "7", "\"x\"", "[{}]"};
    for (size_t i = 0; i < COUNT(roots); i++)
        refuses(roots[i], "not_an_object", "");
}

Test(decode_envelope, events_of_other_families_are_ignored)
{
    cr_expect_eq(decode_text("{\"id\":\"i\",\"source\":\"s\",\"type\":\"com.example.order\","
                             "\"time\":7e0,\"data\":\"<x/>\"}"), FP_REJECT); /* not a CloudEvent */
    cr_assert_eq(
        decode_text("{\"id\":\"i\",\"source\":\"s\",\"type\":\"com.example.order\","
                    "\"time\":\"never\",\"datacontenttype\":\"text/xml\",\"data\":\"<x/>\"}"),
        FP_OK);
    cr_expect_eq(event.type, FP_EVENT_FOREIGN);
    IS(event.id, "i");
    IS(event.source, "s");
    cr_assert_eq(decode_text("{\"id\":\"i\",\"source\":\"s\",\"type\":\"experience\"}"), FP_OK);
    cr_expect_eq(event.type, FP_EVENT_FOREIGN);
    cr_assert_eq(decode_text("{\"id\":\"i\",\"source\":\"s\",\"type\":\"Experience.case.v1\"}"),
                 FP_OK);
    cr_expect_eq(event.type, FP_EVENT_FOREIGN);
    refuses("{\"id\":\"i\",\"type\":\"com.example.order\"}", "missing_field", "source");
    refuses("{\"id\":\"i\",\"source\":\"s\",\"type\":\"com.example.order\",}", "bad_json", "");

    struct fp_header headers[SET];
    memcpy(headers, complete, sizeof headers);
    headers[TYPE] = (struct fp_header)HEADER("ce_type", "com.example.order");
    headers[CONTENT_TYPE] = (struct fp_header)HEADER("content-type", "application/avro");
    cr_assert_eq(with_headers("Obj\x01", headers, SET), FP_OK); /* in whatever format it likes */
    cr_expect_eq(event.type, FP_EVENT_FOREIGN);
    was_refused(with_headers("Obj\x01", headers, CONTENT_TYPE), "bad_json", "", "said to be JSON");
    headers[ID].name = "x";
    was_refused(with_headers("Obj\x01", headers, SET), "missing_field", "id", "without id");
    was_refused(with_headers(PLAIN, &headers[CONTENT_TYPE], 1), "bad_content_type", "content-type",
                "no CloudEvent, no JSON");
}

/* ---- bytes around the JSON ------------------------------------------------------------------- */

Test(decode_envelope, tombstones_and_nothing)
{
    struct fp_record record = {.topic = "t", .headers = complete, .header_count = SET};
    cr_assert_eq(decode_record(&record), FP_OK);
    cr_expect_eq(event.type, FP_EVENT_FOREIGN);
    cr_expect(event.id.at == NULL && event.score_count == 0 && event.measure_count == 0);
    record.value = "";
    was_refused(decode_record(&record), "empty", "", "no bytes");
    refuses("", "empty", "");
    cr_expect_eq(fp_decode(decoder, &record, &event, NULL), FP_REJECT);
}

Test(decode_envelope, the_wire_prefix_is_skipped)
{
    static const char plain[] = "\0\0\0\x12\x34" PLAIN, data[] = "\0\xFF\xFF\xFF\xFF" DATA;
    is_the_sample(decode_bytes(plain, sizeof plain - 1, NULL, 0));
    is_the_sample(decode_bytes(data, sizeof data - 1, complete, SET));
    was_refused(decode_bytes(plain, 5, NULL, 0), "empty", "", "prefix alone");
    for (size_t len = 1; len < 5; len++)
        was_refused(decode_bytes(plain, len, NULL, 0), "bad_json", "", "cut prefix");
    static const char twice[] = "\0\0\0\0\1\0\0\0\0\1{}";
    was_refused(decode_bytes(twice, sizeof twice - 1, NULL, 0), "bad_json", "", "two prefixes");
    static const char other[] = "\1\0\0\0\1" PLAIN;
    was_refused(decode_bytes(other, sizeof other - 1, NULL, 0), "bad_json", "", "another prefix");
}

Test(decode_envelope, the_limit_of_bytes_counts_the_document)
{
    size_t limit = fp_json_limits_default.bytes_max;
    char *text = malloc(limit + 6);
    memset(text, ' ', limit + 6);
    memcpy(text, "\0\0\0\0\1" PLAIN, 5 + sizeof PLAIN - 1);
    is_the_sample(decode_bytes(text, limit + 5, NULL, 0));
    was_refused(decode_bytes(text, limit + 6, NULL, 0), "too_long", "", "limit + 1");
    free(text);
}

Test(decode_envelope, content_types)
{
    static const struct {
        const char *text;
        enum fp_content content;
    } samples[] = {
        {"", FP_CONTENT_UNSAID},
        {"application/json", FP_CONTENT_JSON},
        {" Application/JSON ; charset=utf-8", FP_CONTENT_JSON},
        {"application/json;charset=\"UTF-8\"", FP_CONTENT_JSON},
        {"application/json; version=1; Charset=us-ascii", FP_CONTENT_JSON},
        {"text/json", FP_CONTENT_JSON},
        {"application/vnd.example.v1+json", FP_CONTENT_JSON},
        {"application/cloudevents+json", FP_CONTENT_CLOUDEVENT},
        {"application/cloudevents+json; charset=UTF-8", FP_CONTENT_CLOUDEVENT},
        {"application/cloudevents", FP_CONTENT_CLOUDEVENT},
        {"application/cloudevents-batch+json", FP_CONTENT_OTHER},
        {"application/cloudevents+avro", FP_CONTENT_OTHER},
        {"application/json; charset=iso-8859-1", FP_CONTENT_OTHER},
        {"application/cloudevents+json; charset=utf-16", FP_CONTENT_OTHER},
        {"application/json; charset=", FP_CONTENT_OTHER},
        {"application/json; charset=\"", FP_CONTENT_OTHER},
        {"application/jsonx", FP_CONTENT_OTHER},
        {"+json", FP_CONTENT_OTHER},
        {"json", FP_CONTENT_OTHER},
        {"text/plain", FP_CONTENT_OTHER},
        {"application/octet-stream", FP_CONTENT_OTHER},
        {";", FP_CONTENT_OTHER},
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        size_t len = strlen(samples[i].text);
        char *exact = malloc(len + 1);
        memcpy(exact, samples[i].text, len);
        struct fp_slice text = {exact, (uint32_t)len};
        cr_expect_eq(fp_content_of(text), samples[i].content, "%s", samples[i].text);
        free(exact);
    }
    cr_expect_eq(fp_content_of((struct fp_slice){0}), FP_CONTENT_UNSAID);
}

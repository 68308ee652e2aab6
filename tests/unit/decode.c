/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fp_decode, member by member. Messages are made from a frame and the data. */
#include "decode_support.h"

#include <stdio.h>

#define T0 INT64_C(1772449449000000) /* 2026-03-02T11:04:09Z */
#define FRAME "{\"id\":\"i\",\"source\":\"s\",\"type\":\"experience.%s.v1\",%s\"data\":{%s}}"
#define TIME "\"time\":\"2026-03-02T11:04:09Z\","

TestSuite(decode, .init = open_decoder, .fini = close_decoder);

static const char *message(const char *type, const char *time, const char *data)
{
    static char text[20000];
    cr_assert_lt(snprintf(text, sizeof text, FRAME, type, time, data), (int)sizeof text);
    return text;
}

static void accepts(const char *type, const char *data)
{
    const char *text = message(type, TIME, data);
    cr_assert_eq(decode_text(text), FP_OK, "%s: %s at '%s': %s", text, err.code, err.where,
                 err.what);
}

static void refuses(const char *type, const char *data, const char *code, const char *where)
{
    const char *text = message(type, TIME, data);
    was_refused(decode_text(text), code, where, text);
}

/* A response with its required members and one more. */
static const char *with(const char *member)
{
    static char data[20000];
    snprintf(data, sizeof data,
             "\"audience\":\"customer\",\"survey\":\"v\",\"journey\":\"j\"%s%s", *member ? "," : "",
             member);
    return data;
}

#define IS(slice, text) cr_expect(fp_slice_is(slice, text), "%.*s", (int)(slice).len, (slice).at)
#define ABSENT(slice) cr_expect((slice).at == NULL && (slice).len == 0)

/* ---- each type, whole ------------------------------------------------------------------------ */

Test(decode, a_touchpoint_event)
{
    accepts("touchpoint", "\"journey\":\"open_account\",\"touchpoint\":\"visit\",\"unit\":\"b1\","
                          "\"channel\":\"desk\",\"outcome\":\"abandoned\","
                          "\"measures\":{\"wait_s\":412,\"cost\":6.40,\"none\":null},"
                          "\"interaction\":\"i-7\",\"of our own\":{\"deep\":[1]}");
    cr_expect_eq(event.type, FP_EVENT_TOUCHPOINT);
    IS(event.id, "i");
    IS(event.source, "s");
    ABSENT(event.subject);
    cr_expect_eq(event.time_us, T0);
    IS(event.journey, "open_account");
    IS(event.touchpoint, "visit");
    IS(event.unit, "b1");
    IS(event.channel, "desk");
    IS(event.interaction, "i-7");
    ABSENT(event.survey);
    cr_expect_eq(event.outcome, FP_OUTCOME_ABANDONED);
    cr_assert_eq(event.measure_count, 2); /* null counts as absent */
    IS(event.measures[0].name, "wait_s");
    IS(event.measures[0].number, "412");
    IS(event.measures[1].name, "cost");
    IS(event.measures[1].number, "6.40");
    cr_expect_eq(event.score_count, 0);
}

Test(decode, a_response)
{
    accepts("response",
            "\"audience\":\"employee\",\"survey\":\"pulse\",\"journey\":\"e\",\"touchpoint\":\"t\","
            "\"unit\":\"u\",\"channel\":\"mail\",\"submitted_at\":\"2026-03-02T12:04:10+01:00\","
            "\"revision\":3,\"status\":\"partial\","
            "\"scores\":{\"a\":6,\"b\":null,\"c\":\"na\",\"d\":-3},\"measures\":{\"m\":1e2},"
            "\"weight\":2.0,\"tenure_months\":7,\"interaction\":\"i-1\","
            "\"comment\":\"well\\n\"");
    cr_expect_eq(event.type, FP_EVENT_RESPONSE);
    cr_expect_eq(event.audience, FP_AUDIENCE_EMPLOYEE);
    IS(event.survey, "pulse");
    IS(event.touchpoint, "t");
    cr_expect_eq(event.time_us, T0);
    cr_expect(event.has_submitted_at && event.submitted_at_us == T0 + 1000000);
    cr_expect_eq(event.revision, 3);
    cr_expect_eq(event.status, FP_RESPONSE_PARTIAL);
    cr_expect_eq(event.weight, 2);
    cr_expect_eq(event.tenure_months, 7);
    IS(event.comment, "well\n");
    IS(event.interaction, "i-1");
    cr_assert_eq(event.score_count, 4);
    static const struct {
        const char *item;
        enum fp_answer_kind kind;
        int64_t value;
    } wanted[] = {{"a", FP_ANSWER_VALUE, 6}, {"b", FP_ANSWER_SKIPPED, 0},
                  {"c", FP_ANSWER_NOT_APPLICABLE, 0}, {"d", FP_ANSWER_VALUE, -3}};
    for (size_t i = 0; i < 4; i++) {
        IS(event.scores[i].item, wanted[i].item);
        cr_expect_eq(event.scores[i].kind, wanted[i].kind);
        cr_expect_eq(event.scores[i].value, wanted[i].value);
    }
    cr_assert_eq(event.measure_count, 1);
    IS(event.measures[0].number, "1e2");
}

Test(decode, what_a_response_is_without_its_optional_members)
{
    static const char *const empty[] = {
        "",
        "\"unit\":null,\"channel\":null,\"touchpoint\":null,\"submitted_at\":null,"
        "\"revision\":null,\"status\":null,\"scores\":null,\"measures\":null,\"weight\":null,"
        "\"tenure_months\":null,\"applicant\":null,\"interaction\":null,\"comment\":null",
        "\"applicant\":false,\"scores\":{},\"measures\":{},\"REVISION\":5,\"Weight\":9"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        accepts("response", with(empty[i]));
        ABSENT(event.unit);
        ABSENT(event.channel);
        ABSENT(event.touchpoint);
        ABSENT(event.interaction);
        ABSENT(event.comment);
        cr_expect(!event.has_submitted_at && event.submitted_at_us == T0);
        cr_expect(event.revision == 1 && event.weight == 1 && event.status == FP_RESPONSE_COMPLETE);
        cr_expect_eq(event.tenure_months, FP_TENURE_ABSENT);
        cr_expect(event.score_count == 0 && event.measure_count == 0);
    }
}

Test(decode, an_invitation)
{
    accepts("invitation", "\"survey\":\"v\",\"journey\":\"j\",\"touchpoint\":\"t\",\"unit\":\"u\","
                          "\"channel\":\"mail\"");
    cr_expect_eq(event.type, FP_EVENT_INVITATION);
    IS(event.survey, "v");
    IS(event.journey, "j");
    IS(event.touchpoint, "t");
    IS(event.unit, "u");
    IS(event.channel, "mail");
    accepts("invitation", "\"survey\":\"v\""); /* needs no place */
    refuses("invitation", "\"journey\":\"j\"", "missing_field", "data.survey");
}

Test(decode, a_case)
{
    static const char *const states[] = {"opened", "contacted", "resolved", "reopened"};
    for (int i = 0; i < 4; i++) {
        char data[200];
        snprintf(data, sizeof data, "\"case\":\"c\",\"state\":\"%s\",\"interaction\":\"i\","
                                    "\"response\":\"r\",\"owner\":\"ann\"", states[i]);
        accepts("case", data);
        cr_expect_eq((int)event.case_state, i);
    }
    cr_expect_eq(event.type, FP_EVENT_CASE);
    IS(event.case_id, "c");
    IS(event.interaction, "i");
    IS(event.response, "r");
    IS(event.owner, "ann");
    refuses("case", "\"state\":\"opened\"", "missing_field", "data.case");
    refuses("case", "\"case\":\"c\"", "missing_field", "data.state");
    refuses("case", "\"case\":\"c\",\"state\":\"closed\"", "bad_value", "data.state");
    cr_expect_not_null(strstr(err.what, "\"opened\", \"contacted\", \"resolved\", \"reopened\""));
}

Test(decode, an_intervention)
{
    accepts("intervention", "\"intervention\":\"desk\",\"state\":\"ended\"");
    cr_expect(event.type == FP_EVENT_INTERVENTION && event.at_us == T0);
    cr_expect_eq(event.intervention_state, FP_INTERVENTION_ENDED);
    IS(event.intervention, "desk");
    ABSENT(event.at_date);
    accepts("intervention",
            "\"intervention\":\"d\",\"state\":\"started\",\"at\":\"1970-01-01T00:00:00Z\"");
    cr_expect(event.at_us == 0 && event.time_us == T0);
    ABSENT(event.at_date);
    accepts("intervention", "\"intervention\":\"d\",\"state\":\"cancelled\",\"at\":\"2026-04-06\"");
    IS(event.at_date, "2026-04-06");
    cr_expect_eq(event.at_us, INT64_C(20549) * 86400000000);
    cr_expect_eq(event.intervention_state, FP_INTERVENTION_CANCELLED);
    static const char *const bad[] = {"2026-02-30", "soon", "", "2026-04-06T00:00:00"};
    for (size_t i = 0; i < 4; i++) {
        char data[200];
        snprintf(data, sizeof data, "\"intervention\":\"d\",\"state\":\"ended\",\"at\":\"%s\"",
                 bad[i]);
        refuses("intervention", data, "bad_time", "data.at");
    }
    refuses("intervention", "\"at\":20260406", "type_mismatch", "data.at");
    refuses("intervention", "\"intervention\":\"d\"", "missing_field", "data.state");
    refuses("intervention", "\"state\":\"ended\"", "missing_field", "data.intervention");
}

Test(decode, an_erasure)
{
    accepts("erasure", "\"subject\":\"c-1\"");
    cr_expect_eq(event.type, FP_EVENT_ERASURE);
    IS(event.erase_subject, "c-1");
    ABSENT(event.subject);
    refuses("erasure", "", "missing_field", "data.subject");
    refuses("erasure", "\"subject\":null", "missing_field", "data.subject");
    refuses("erasure", "\"subject\":\"\"", "bad_value", "data.subject");
}

/* ---- what is required ------------------------------------------------------------------------ */

Test(decode, required_members)
{
    refuses("response", "\"survey\":\"v\",\"journey\":\"j\"", "missing_field", "data.audience");
    refuses("response", "\"audience\":\"customer\",\"journey\":\"j\"", "missing_field",
            "data.survey");
    refuses("response", "\"audience\":\"customer\",\"survey\":\"v\"", "missing_field",
            "data.journey");
    refuses("response", "\"audience\":null,\"survey\":\"v\",\"journey\":\"j\"", "missing_field",
            "data.audience");
    refuses("touchpoint", "", "missing_field", "data.journey");
    refuses("touchpoint", "\"journey\":null", "missing_field", "data.journey");
    refuses("touchpoint", "\"Journey\":\"j\",\"journey \":\"j\"", "missing_field", "data.journey");
    accepts("touchpoint", "\"touchpoint\":\"t\"");
    cr_expect_eq(event.outcome, FP_OUTCOME_COMPLETED);
    accepts("touchpoint", "\"journey\":\"j\"");
    static const char *const types[] = {"touchpoint", "invitation", "case", "intervention",
                                        "erasure"};
    static const char *const data[] = {
        "\"journey\":\"j\",\"submitted_at\":\"2026-03-02T11:04:09Z\"", "\"survey\":\"v\"",
        "\"case\":\"c\",\"state\":\"opened\"", "\"intervention\":\"d\",\"state\":\"ended\"",
        "\"subject\":\"x\""};
    for (size_t i = 0; i < 5; i++) {
        const char *text = message(types[i], "", data[i]);
        was_refused(decode_text(text), "missing_field", "time", text);
        text = message(types[i], "\"time\":null,", data[i]);
        was_refused(decode_text(text), "missing_field", "time", text);
    }
}

Test(decode, a_response_may_take_its_time_from_submitted_at)
{
    const char *text = message("response", "", with("\"submitted_at\":\"2026-03-02T11:04:09Z\""));
    cr_assert_eq(decode_text(text), FP_OK, "%s", err.what);
    cr_expect(event.time_us == T0 && event.submitted_at_us == T0 && event.has_submitted_at);
    text = message("response", "", with(""));
    was_refused(decode_text(text), "missing_field", "time", text);
    cr_expect_not_null(strstr(err.what, "submitted_at"));
    refuses("response", with("\"submitted_at\":\"yesterday\""), "bad_time", "data.submitted_at");
    refuses("response", with("\"submitted_at\":1772449449"), "type_mismatch", "data.submitted_at");
}

/* ---- values ---------------------------------------------------------------------------------- */

Test(decode, scores)
{
    static const struct {
        const char *text, *code; /* NULL: accepted */
        int64_t value;
    } samples[] = {
        {"0", NULL, 0}, {"-0", NULL, 0}, {"7.0", NULL, 7}, {"7e0", NULL, 7}, {"70e-1", NULL, 7},
        {"1000", NULL, 1000}, {"-1000", NULL, -1000}, {"0e-400", NULL, 0}, {"1e3", NULL, 1000},
        {"1001", "out_of_range", 0}, {"-1001", "out_of_range", 0}, {"1e4", "out_of_range", 0},
        {"9007199254740993", "out_of_range", 0}, {"9223372036854775807", "out_of_range", 0},
        {"9223372036854775808", "out_of_range", 0}, {"-9223372036854775809", "out_of_range", 0},
        {"18446744073709551622", "out_of_range", 0}, /* 6, if it were to wrap */
        {"1e308", "out_of_range", 0}, {"1e309", "out_of_range", 0}, {"1e999999", "out_of_range", 0},
        {"6.5", "type_mismatch", 0}, {"1e-400", "type_mismatch", 0},
        {"6.0000000001", "type_mismatch", 0}, {"true", "type_mismatch", 0},
        {"[6]", "type_mismatch", 0}, {"{\"v\":6}", "type_mismatch", 0},
        {"\"6\"", "bad_value", 0}, {"\"NA\"", "bad_value", 0}, {"\"\"", "bad_value", 0},
        {"\"n/a\"", "bad_value", 0},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        char member[100];
        snprintf(member, sizeof member, "\"scores\":{\"first\":1,\"recommend\":%s}",
                 samples[i].text);
        if (samples[i].code) {
            refuses("response", with(member), samples[i].code, "data.scores.recommend");
            continue;
        }
        accepts("response", with(member));
        cr_expect(event.score_count == 2 && event.scores[1].kind == FP_ANSWER_VALUE);
        cr_expect_eq(event.scores[1].value, samples[i].value, "%s", samples[i].text);
    }
    refuses("response", with("\"scores\":[]"), "type_mismatch", "data.scores");
    refuses("response", with("\"scores\":{\"\":1}"), "bad_value", "data.scores.");
}

Test(decode, measures)
{
    static const char *const bad[] = {"\"6\"", "true", "[]", "{}", "\"na\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char data[100];
        snprintf(data, sizeof data, "\"journey\":\"j\",\"measures\":{\"wait_s\":%s}", bad[i]);
        refuses("touchpoint", data, "type_mismatch", "data.measures.wait_s");
    }
    refuses("touchpoint", "\"journey\":\"j\",\"measures\":3", "type_mismatch", "data.measures");
    refuses("touchpoint", "\"journey\":\"j\",\"measures\":{\"\":3}", "bad_value", "data.measures.");
    accepts("touchpoint", "\"journey\":\"j\",\"measures\":{\"m\":-1.5E-300}");
    IS(event.measures[0].number, "-1.5E-300"); /* what it is worth is for the model to say */
}

static const char *map_of(const char *name, int members)
{
    static char text[8192];
    int at = snprintf(text, sizeof text, "\"%s\":{", name);
    for (int i = 0; i < members; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s\"k%d\":%d", i ? "," : "", i, i);
    snprintf(text + at, sizeof text - (size_t)at, "}");
    return text;
}

Test(decode, maps_at_their_limit)
{
    accepts("response", with(map_of("scores", FP_SCORES_MAX)));
    cr_expect_eq(event.score_count, FP_SCORES_MAX);
    IS(event.scores[63].item, "k63");
    refuses("response", with(map_of("scores", FP_SCORES_MAX + 1)), "too_many_items", "data.scores");
    accepts("response", with(map_of("measures", FP_MEASURES_MAX)));
    cr_expect_eq(event.measure_count, FP_MEASURES_MAX);
    refuses("response", with(map_of("measures", 33)), "too_many_items", "data.measures");
}

Test(decode, whole_numbers)
{
    static const struct {
        const char *name;
        long min, max;
    } fields[] = {{"revision", 1, INT32_MAX}, {"weight", 0, 100000}, {"tenure_months", 0, 1200}};
    for (size_t i = 0; i < 3; i++) {
        char member[100], where[40];
        snprintf(where, sizeof where, "data.%s", fields[i].name);
        for (int edge = 0; edge < 2; edge++) {
            long value = edge ? fields[i].max : fields[i].min;
            snprintf(member, sizeof member, "\"%s\":%ld.0", fields[i].name, value);
            accepts("response", with(member));
            cr_expect_eq((i == 0   ? event.revision
                          : i == 1 ? event.weight
                                   : event.tenure_months), value);
            snprintf(member, sizeof member, "\"%s\":%ld", fields[i].name,
                     edge ? value + 1 : value - 1);
            refuses("response", with(member), "out_of_range", where);
        }
        static const char *const others[] = {
            "1e400", "9223372036854775808", "1.5", "1e-400", "\"1\"", "true", "{}", "[1]"};
        for (size_t k = 0; k < 8; k++) {
            snprintf(member, sizeof member, "\"%s\":%s", fields[i].name, others[k]);
            refuses("response", with(member), k < 2 ? "out_of_range" : "type_mismatch", where);
        }
    }
}

Test(decode, applicants)
{
    accepts("response", with("\"applicant\":true"));
    cr_expect_eq(event.tenure_months, FP_TENURE_APPLICANT);
    accepts("response", with("\"applicant\":true,\"tenure_months\":null"));
    cr_expect_eq(event.tenure_months, FP_TENURE_APPLICANT);
    accepts("response", with("\"applicant\":false,\"tenure_months\":0"));
    cr_expect_eq(event.tenure_months, 0);
    refuses("response", with("\"applicant\":true,\"tenure_months\":0"), "bad_value",
            "data.applicant");
    refuses("response", with("\"tenure_months\":9,\"applicant\":true"), "bad_value",
            "data.applicant");
    refuses("response", with("\"applicant\":1"), "type_mismatch", "data.applicant");
    refuses("response", with("\"applicant\":\"true\""), "type_mismatch", "data.applicant");
}

Test(decode, words)
{
    static const char *const audiences[] = {"customer", "employee", "internal"};
    static const char *const statuses[] = {"complete", "partial", "void"};
    static const char *const outcomes[] = {"completed", "failed", "abandoned", "recovered"};
    char data[200];
    for (int i = 0; i < 4; i++) {
        snprintf(data, sizeof data, "\"journey\":\"j\",\"outcome\":\"%s\"", outcomes[i]);
        accepts("touchpoint", data);
        cr_expect_eq((int)event.outcome, i);
        if (i == 3)
            break;
        snprintf(data, sizeof data, "\"audience\":\"%s\",\"survey\":\"v\",\"journey\":\"j\","
                                    "\"status\":\"%s\"", audiences[i], statuses[i]);
        accepts("response", data);
        cr_expect_eq((int)event.audience, i);
        cr_expect_eq((int)event.status, i);
    }
    static const char *const others[] = {"\"Void\"", "\"\"", "\"void \"", "\"voi\"",
                                         "\"cancelled\""};
    for (size_t i = 0; i < 5; i++) {
        snprintf(data, sizeof data, "\"status\":%s", others[i]);
        refuses("response", with(data), "bad_value", "data.status");
    }
    refuses("response", with("\"status\":2"), "type_mismatch", "data.status");
    refuses("touchpoint", "\"outcome\":true", "type_mismatch", "data.outcome");
}

/* ---- texts ----------------------------------------------------------------------------------- */

static const char *text_of(const char *name, size_t bytes)
{
    static char member[10000];
    int at = snprintf(member, sizeof member, "\"%s\":\"", name);
    memset(member + at, 'x', bytes);
    strcpy(member + at + bytes, "\"");
    return member;
}

Test(decode, texts_at_their_limit)
{
    static const char *const names[] = {"touchpoint", "unit", "channel", "interaction"};
    char where[40];
    for (size_t i = 0; i < 4; i++) {
        snprintf(where, sizeof where, "data.%s", names[i]);
        accepts("response", with(text_of(names[i], 256)));
        refuses("response", with(text_of(names[i], 257)), "string_too_long", where);
        refuses("response", with(text_of(names[i], 0)), "bad_value", where);
        char member[40];
        snprintf(member, sizeof member, "\"%s\":7", names[i]);
        refuses("response", with(member), "type_mismatch", where);
    }
    accepts("response", with(text_of("comment", 8192)));
    cr_expect_eq(event.comment.len, 8192);
    refuses("response", with(text_of("comment", 8193)), "string_too_long", "data.comment");
    accepts("response", with(text_of("comment", 0)));
    cr_expect(event.comment.at != NULL && event.comment.len == 0);
    char map[400];
    snprintf(map, sizeof map, "\"scores\":{%s", text_of("", 0));
    memset(map + 11, 'k', 257);
    strcpy(map + 11 + 257, "\":1}");
    cr_expect_eq(decode_text(message("response", TIME, with(map))), FP_REJECT);
    cr_expect_str_eq(err.code, "string_too_long");
    map[11] = 'x';
    memmove(map + 12, map + 13, strlen(map + 13) + 1);
    accepts("response", with(map));
    cr_expect_eq(event.scores[0].item.len, 256);
}

/* Stored as they are: control characters, quotes, formats, markup. Only NUL cannot be. */
Test(decode, awkward_texts_are_kept_literally)
{
    accepts("touchpoint",
            "\"journey\":\"j\\n\\u001b[31m\\u0007\",\"unit\":\"'; DROP TABLE x; --\","
            "\"channel\":\"%n%s{}\\\"\",\"touchpoint\":\"\xE2\x80\xAE\xF0\x9F\x98\x80\"");
    IS(event.journey, "j\n\x1b[31m\x07");
    IS(event.unit, "'; DROP TABLE x; --");
    IS(event.channel, "%n%s{}\"");
    IS(event.touchpoint, "\xE2\x80\xAE\xF0\x9F\x98\x80");
    refuses("touchpoint", "\"journey\":\"a\\u0000b\"", "nul_in_string", "data.journey");
    refuses("response", with("\"scores\":{\"%s%n\":true}"), "type_mismatch", "data.scores.%s%n");
    refuses("response", with("\"scores\":{\"a\\nb\":true}"), "type_mismatch", "data.scores.a b");
}

Test(decode, personal_values_are_not_in_messages_of_error)
{
    refuses("response", with("\"comment\":[\"secret-value\"]"), "type_mismatch", "data.comment");
    cr_expect_null(strstr(err.what, "secret-value"));
    refuses("response", with("\"status\":\"secret-value\""), "bad_value", "data.status");
    cr_expect_null(strstr(err.what, "secret-value"));
    refuses("response", with("\"scores\":{\"a\":\"secret-value\"}"), "bad_value", "data.scores.a");
    cr_expect_null(strstr(err.what, "secret-value"));
}

/* The same members in every order are the same event. */
Test(decode, order_does_not_matter)
{
    static const char *const members[] = {
        "\"audience\":\"internal\"", "\"survey\":\"v\"", "\"journey\":\"j\"", "\"unit\":\"u\"",
        "\"revision\":2", "\"scores\":{\"a\":1}", "\"weight\":3", "\"comment\":\"c\""};
    for (unsigned start = 0; start < 8; start++) {
        for (unsigned stride = 1; stride < 8; stride += 2) {
            char data[400] = "";
            for (unsigned i = 0; i < 8; i++)
                sprintf(data + strlen(data), "%s%s", i ? "," : "",
                        members[(start + i * stride) % 8]);
            accepts("response", data);
            cr_expect(event.audience == FP_AUDIENCE_INTERNAL && event.revision == 2);
            cr_expect(event.weight == 3 && event.score_count == 1 && event.scores[0].value == 1);
            IS(event.survey, "v");
            IS(event.unit, "u");
            IS(event.comment, "c");
        }
    }
}

/* B5: a message that was cut anywhere is never taken for a whole one. */
Test(decode, every_truncation_is_refused)
{
    const char *text =
        message("response", TIME,
                with("\"scores\":{\"a\":6,\"b\":null,\"c\":\"na\"},\"comment\":\"\\u00e4\""));
    size_t whole = strlen(text);
    cr_assert_eq(decode_text(text), FP_OK);
    for (size_t len = 0; len < whole; len++) {
        cr_expect_eq(decode_bytes(text, len, NULL, 0), FP_REJECT, "accepted: %.*s", (int)len, text);
        cr_expect_str_eq(err.code, len ? "bad_json" : "empty");
    }
}

/* Slices stay valid until the next decode, also those that were unescaped. */
Test(decode, one_decoder_for_many_messages)
{
    for (int i = 0; i < 1000; i++) {
        char data[200], unit[40];
        snprintf(data, sizeof data, "\"journey\":\"j\\u00e9%d\",\"unit\":\"u%d\"", i, i);
        accepts("touchpoint", data);
        snprintf(unit, sizeof unit, "u%d", i);
        IS(event.unit, unit);
        snprintf(unit, sizeof unit, "j\xC3\xA9%d", i);
        IS(event.journey, unit);
        if (i % 3 == 0)
            refuses("touchpoint", "\"journey\":[[[", "bad_json", "data.journey[0][0][0]");
    }
    struct fp_json_limits none = fp_json_limits_default;
    none.depth_max = 0;
    cr_expect_null(fp_decoder_new(&none));
    fp_decoder_free(NULL);
}

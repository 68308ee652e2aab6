/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CPU_SECONDS_MAX 2.0 /* for one hostile document, also under a sanitizer */

static struct fp_json_reader *reader;
static const struct fp_json_node *nodes;
static uint32_t count;
static struct fp_error err;

static void open_with(const struct fp_json_limits *limits)
{
    fp_json_reader_free(reader);
    reader = fp_json_reader_new(limits);
    cr_assert_not_null(reader);
}

static void setup(void)
{
    open_with(NULL);
}

static void teardown(void)
{
    fp_json_reader_free(reader);
    reader = NULL;
}

/* From memory of exactly len bytes, so that a sanitizer sees any read beyond. */
static enum fp_status parse(const void *bytes, size_t len)
{
    char *exact = malloc(len ? len : 1);
    memcpy(exact, bytes, len);
    memset(&err, 0, sizeof err);
    nodes = NULL;
    count = 0;
    enum fp_status status = fp_json_parse(reader, exact, len, &nodes, &count, &err);
    memset(exact, 'x', len); /* what was read must not be borrowed from the caller */
    free(exact);
    return status;
}

static void accepts(const char *text)
{
    cr_assert_eq(parse(text, strlen(text)), FP_OK, "%s: %s at '%s': %s", text, err.code, err.where,
                 err.what);
}

static void refuses_bytes(const void *bytes, size_t len, const char *code, const char *where)
{
    const char *text = bytes;
    cr_expect_eq(parse(bytes, len), FP_REJECT, "accepted: %.*s", (int)len, text);
    cr_expect_str_eq(err.code, code, "%.*s: %s (%s)", (int)len, text, err.code, err.what);
    if (where)
        cr_expect_str_eq(err.where, where, "%.*s: at '%s'", (int)len, text, err.where);
    cr_expect(err.what[0] != '\0' && nodes == NULL);
}

static void refuses(const char *text, const char *code, const char *where)
{
    refuses_bytes(text, strlen(text), code, where);
}

static void is_string(uint32_t node, const char *wanted, size_t len)
{
    cr_assert_eq(nodes[node].type, FP_JSON_STRING);
    cr_assert(nodes[node].text.len == len && memcmp(nodes[node].text.at, wanted, len) == 0,
              "got %.*s", (int)nodes[node].text.len, nodes[node].text.at);
}

TestSuite(json, .init = setup, .fini = teardown);

/* ---- what comes out -------------------------------------------------------------------------- */

Test(json, nodes_in_document_order)
{
    accepts(
        " {\"a\": [1, {\"b\" :null} ,[]],\n\t\"c\":\"x\", \"\":true, \"d\":{ } , \"e\":false}\r\n");
    static const struct {
        const char *key;
        enum fp_json_type type;
        uint32_t count, next;
    } wanted[] = {
        {NULL, FP_JSON_OBJECT, 5, 10}, {"a", FP_JSON_ARRAY, 3, 6},  {NULL, FP_JSON_NUMBER, 0, 3},
        {NULL, FP_JSON_OBJECT, 1, 5},  {"b", FP_JSON_NULL, 0, 5},   {NULL, FP_JSON_ARRAY, 0, 6},
        {"c", FP_JSON_STRING, 0, 7},   {"", FP_JSON_TRUE, 0, 8},    {"d", FP_JSON_OBJECT, 0, 9},
        {"e", FP_JSON_FALSE, 0, 10},
    };
    cr_assert_eq(count, sizeof wanted / sizeof *wanted);
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(nodes[i].type, wanted[i].type, "type of %u", i);
        cr_expect_eq(nodes[i].count, wanted[i].count, "count of %u", i);
        cr_expect_eq(nodes[i].next, wanted[i].next, "next of %u", i);
        cr_expect(wanted[i].key ? fp_slice_is(nodes[i].key, wanted[i].key) : !nodes[i].key.at);
    }
    cr_expect(fp_slice_is(nodes[2].text, "1") && fp_slice_is(nodes[6].text, "x"));
    cr_expect(nodes[0].text.at == NULL && nodes[4].text.at == NULL);
    cr_expect_eq(fp_json_member(nodes, 0, "c"), 6);
    cr_expect_eq(fp_json_member(nodes, 0, ""), 7);
    cr_expect_eq(fp_json_member(nodes, 0, "b"), 0); /* of another object */
    cr_expect_eq(fp_json_member(nodes, 3, "b"), 4);
    cr_expect_eq(fp_json_member(nodes, 1, "a"), 0); /* an array has no members */
}

Test(json, any_value_may_be_the_root)
{
    static const char *const texts[] = {"null", " true ", "false\n", "0", "-1.5e+3", "\"\"",
                                        "[]",   "{}",     " [ ] ",   "{\t}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        accepts(texts[i]);
        cr_expect(count == 1 && nodes[0].next == 1);
    }
}

Test(json, an_empty_string_is_present)
{
    accepts("[\"\", \"\\u0041\"]");
    cr_expect(nodes[1].text.at != NULL && nodes[1].text.len == 0);
    is_string(2, "A", 1);
}

Test(json, numbers_stay_text)
{
    static const char *const numbers[] = {
        "0", "-0", "-0.0", "10", "6.40", "1e2", "1E+2", "1e-400", "1e309", "9007199254740993",
        "9223372036854775807", "9223372036854775808", "-9223372036854775809", "0.1e00", "1e999999"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[80];
        snprintf(text, sizeof text, "{\"n\":[ %s\n, %s]}", numbers[i], numbers[i]);
        accepts(text);
        cr_expect(nodes[2].type == FP_JSON_NUMBER && fp_slice_is(nodes[2].text, numbers[i]));
        cr_expect(nodes[3].type == FP_JSON_NUMBER && fp_slice_is(nodes[3].text, numbers[i]));
        accepts(numbers[i]);
        cr_expect(fp_slice_is(nodes[0].text, numbers[i]));
    }
}

/* ---- what is refused ------------------------------------------------------------------------- */

Test(json, number_grammar)
{
    static const char *const numbers[] = {
        "01", "-01", "00", "0x10", "NaN", "nan", "Infinity", "-Infinity", "+1", "1.", ".5", "-.5",
        "-", "1e", "1e+", "1.e1", "1.5.2", "1e1.5", "1_0", "1,", "--1", "1-", "0b1", "1d", "1f",
        "1\x0C", "\xD9\xA1", "-a", "1\"2\"", "1true", "1\\u0030"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[80];
        snprintf(text, sizeof text, "{\"a\":{\"n\":%s}}", numbers[i]);
        refuses(text, "bad_json", strcmp(numbers[i], "1,") == 0 ? "a" : NULL);
        snprintf(text, sizeof text, "%s", numbers[i]);
        cr_expect_eq(parse(text, strlen(text)), FP_REJECT, "accepted: %s", text);
        snprintf(text, sizeof text, "[%s]", numbers[i]);
        refuses(text, "bad_json", NULL);
    }
}

Test(json, structure)
{
    static const char *const texts[] = {
        "{", "}", "[", "]", "[[]", "{}}x", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\"::1}", "{:1}",
        "{1:2}", "{a:1}", "{'a':1}", "{\"a\":1,}", "{,}", "{\"a\":1,,\"b\":2}", "{\"a\":1 \"b\":2}",
        "{\"a\":1]", "[1}", "[1,]", "[,1]", "[1 2]", "[1,,2]", "[\"a\" \"b\"]", "[\"a\":1]", "[{]}",
        "nul", "nulll", "tru", "True", "TRUE", "falsey", "undefined", "[null1]", "[truefalse]",
        "{\"a\":tru e}", "// c\n1", "/* c */ 1", "[1] // c", "{\"a\":1 /* c */}", ",", ":", "\"",
        "\"a", "\"a\\\"", "[\"a]", "{\"a\":\"b}", "\"\\\"", "a\"b\"", "\\\"a\\\"", "{\"a\":1;}",
        "[1]\x01[", "\x0B{}", "\xC2\xA0{}", "\xE2\x80\x8B{}", "(1)", "[1}]", "#1", "{\"a\":[1,2}",
        "-", "'a'"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_expect_eq(parse(texts[i], strlen(texts[i])), FP_REJECT, "accepted: %s", texts[i]);
        cr_expect(strcmp(err.code, "bad_json") == 0 || strcmp(err.code, "trailing_bytes") == 0,
                  "%s: %s", texts[i], err.code);
    }
}

Test(json, nothing_and_more_than_one)
{
    refuses("", "empty", "");
    refuses(" \t\r\n ", "empty", "");
    cr_expect_eq(fp_json_parse(reader, NULL, 0, &nodes, &count, NULL), FP_REJECT);
    static const char *const texts[] = {"{}{}", "{} {}", "[1][2]", "{\"a\":1}\n{\"a\":2}", "1 2",
                                        "null,", "{}]", "{}x", "{}\"", "\"a\"\"b\"", "true false"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        bool unclosed = strcmp(texts[i], "{}\"") == 0;
        refuses(texts[i], unclosed ? "bad_json" : "trailing_bytes", "");
    }
    refuses_bytes("{}\0", 3, "trailing_bytes", "");
    refuses_bytes("{\0}", 3, "bad_json", "");
    refuses_bytes("\0", 1, "bad_json", "");
}

Test(json, control_characters_in_strings)
{
    for (int c = 0; c < 0x20; c++) {
        char text[] = "{\"a\":\"x?y\"}";
        text[7] = (char)c;
        refuses_bytes(text, sizeof text - 1, "bad_json", NULL);
        char key[] = "{\"x?y\":1}";
        key[3] = (char)c;
        refuses_bytes(key, sizeof key - 1, "bad_json", NULL);
    }
    accepts("\"\x7F\"");
}

Test(json, byte_order_marks_and_other_encodings)
{
    refuses("\xEF\xBB\xBF{}", "bad_utf8", "");
    refuses("{\"a\":\"\xFF\xFE\"}", "bad_utf8", "");
    refuses_bytes("\xFF\xFE{\0}\0", 6, "bad_utf8", "");
    refuses_bytes("\xFE\xFF\0{\0}", 6, "bad_utf8", "");
    /* whatever else is wrong with the text: cut within a character, in a string, ... */
    refuses("{\"a\":\"Zo\xC3", "bad_utf8", "");
    refuses("{\"a\":\"\xE2\x82", "bad_utf8", "");
    refuses("{\"a\":\"Zo\xC3\xAB", "bad_json", "");
    refuses("{\"a\":\"\x01\xFF\"}", "bad_utf8", "");
    refuses("\"\xFF\"x\"", "bad_utf8", "");
    refuses_bytes("{\0}\0", 4, "bad_json", "");
    refuses_bytes("\0{\0}", 4, "bad_json", "");
    accepts("\"\xEF\xBB\xBF\""); /* within a string it is a character */
}

/* ---- UTF-8 and escapes ----------------------------------------------------------------------- */

/* The table of Unicode 15, 3-7: well-formed sequences of `len` bytes. */
static bool well_formed(const unsigned char *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        unsigned char lead = s[i++], low = 0x80, high = 0xBF;
        int more = lead < 0x80 ? 0 : lead < 0xC2 ? -1 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2
                   : lead < 0xF5 ? 3 : -1;
        if (more < 0)
            return false;
        low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        for (; more > 0; more--, low = 0x80, high = 0xBF)
            if (i == len || s[i] < low || s[i++] > high)
                return false;
    }
    return true;
}

static void check_bytes(const unsigned char *bytes, size_t len)
{
    char text[16] = "[\"";
    memcpy(text + 2, bytes, len);
    memcpy(text + 2 + len, "\"]", 2);
    bool valid = well_formed(bytes, len);
    cr_assert_eq(fp_json_valid_utf8(bytes, len), valid);
    memset(&err, 0, sizeof err);
    enum fp_status status = fp_json_parse(reader, text, len + 4, &nodes, &count, &err);
    cr_assert_eq(status, valid ? FP_OK : FP_REJECT, "%02x %02x %02x %02x", bytes[0], bytes[1],
                 bytes[2], bytes[3]);
    if (valid)
        is_string(1, (const char *)bytes, len);
    else
        cr_assert_str_eq(err.code, "bad_utf8");
}

Test(json, every_pair_of_high_bytes)
{
    unsigned char bytes[8] = {0};
    for (int a = 0x80; a < 0x100; a++) {
        bytes[0] = (unsigned char)a;
        check_bytes(bytes, 1);
        for (int b = 0x7F; b < 0x100; b++) {
            bytes[1] = (unsigned char)b;
            check_bytes(bytes, 2);
        }
    }
}

/* Overlong forms, surrogates, beyond U+10FFFF, cut sequences: at every border of the table. */
Test(json, sequences_of_three_and_four_bytes)
{
    static const unsigned char leads[] = {0xC1, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0,
                                          0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFC, 0xFE, 0xFF};
    static const unsigned char tails[] = {0x41, 0x7F, 0x80, 0x8F, 0x90,
                                          0x9F, 0xA0, 0xBF, 0xC0, 0xE0};
    unsigned char b[8] = {0};
    for (size_t i = 0; i < sizeof leads; i++)
        for (size_t j = 0; j < sizeof tails; j++)
            for (size_t k = 0; k < sizeof tails; k++)
                for (size_t l = 0; l < sizeof tails; l++) {
                    b[0] = leads[i], b[1] = tails[j], b[2] = tails[k], b[3] = tails[l];
                    check_bytes(b, 3);
                    check_bytes(b, 4);
                }
}

static size_t encode(char *to, uint32_t point)
{
    if (point < 0x80) {
        to[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        to[0] = (char)(0xC0 + (point >> 6));
        to[1] = (char)(0x80 + (point & 0x3F));
        return 2;
    }
    size_t at = 0;
    if (point < 0x10000) {
        to[at++] = (char)(0xE0 + (point >> 12));
    } else {
        to[at++] = (char)(0xF0 + (point >> 18));
        to[at++] = (char)(0x80 + (point >> 12 & 0x3F));
    }
    to[at++] = (char)(0x80 + (point >> 6 & 0x3F));
    to[at++] = (char)(0x80 + (point & 0x3F));
    return at;
}

Test(json, every_escaped_code_point)
{
    for (uint32_t point = 0; point < 0x110000; point += point < 0x12000 ? 1 : 37) {
        char text[40], wanted[8];
        unsigned high = 0x800 + ((point - 0x10000) >> 10), low = 0xC00 + (point & 0x3FF);
        int len = point >= 0x10000
                      ? snprintf(text, sizeof text, "{\"\":\"-\\ud%03x\\uD%03X\"}", high, low)
                  : point & 1
                      ? snprintf(text, sizeof text, "{\"\\u%04x\":\"-\\u%04x\"}", point, point)
                      : snprintf(text, sizeof text, "{\"\\u%04X\":\"-\\u%04X\"}", point, point);
        memset(&err, 0, sizeof err);
        enum fp_status status = fp_json_parse(reader, text, (size_t)len, &nodes, &count, &err);
        if (point == 0 || (point >= 0xD800 && point < 0xE000)) {
            cr_assert_eq(status, FP_REJECT, "%s", text);
            cr_assert_str_eq(err.code, point ? "bad_utf8" : "nul_in_string");
            continue;
        }
        cr_assert_eq(status, FP_OK, "%s: %s", text, err.what);
        wanted[0] = '-';
        size_t bytes = encode(wanted + 1, point);
        is_string(1, wanted, bytes + 1);
        cr_assert(point >= 0x10000 || (nodes[1].key.len == bytes &&
                                       memcmp(nodes[1].key.at, wanted + 1, bytes) == 0));
    }
}

Test(json, escapes)
{
    accepts(
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"plain\", \"a\\nb\\nc\", \"\\\\\", \"\\\\\\\\\\\"\"]");
    is_string(1, "\"\\/\b\f\n\r\t", 8);
    is_string(2, "plain", 5);
    is_string(3, "a\nb\nc", 5);
    is_string(4, "\\", 1);
    is_string(5, "\\\\\"", 3);
    for (int c = 1; c < 0x80; c++) {
        char text[] = "{\"k\":\"\\?\"}";
        text[7] = (char)c;
        if (strchr("\"\\/bfnrtu", c) == NULL)
            refuses(text, "bad_json", c < 0x20 ? NULL : "k");
    }
}

Test(json, broken_unicode_escapes)
{
    static const char *const bad[] = {
        "\\u",     "\\u0",    "\\u00",         "\\u004",  "\\u004g", "\\u00@0",
        "\\u`000", "\\u-041", "\\u 041",       "\\u+041", "\\U0041", "\\u004\\u0041",
        "\\x41",   "\\u{41}", "\\u00\xC3\xA4", "\\uG000", "\\u/000", "\\u:000"};
    static const char *const alone[] = {
        "\\ud800",        "\\udbff",          "\\udc00",        "\\udfff",    "\\ud800x",
        "\\ud800\\u0041", "\\ud800\\ud800",   "\\udc00\\ud800", "\\ud800\\n", "\\ud800\\udbff",
        "\\ud83d\\ude0",  "\\ud800\\\\udc00", "\\ud800\\ue000"};
    char text[64];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"k\":[0,\"%s\"]}", bad[i]);
        refuses(text, "bad_json", "k[1]");
        snprintf(text, sizeof text, "{\"k\":{\"%s\":1}}", bad[i]);
        refuses(text, "bad_json", "k");
    }
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        snprintf(text, sizeof text, "{\"k\":\"%s\"}", alone[i]);
        refuses(text, "bad_utf8", "k");
    }
    refuses("{\"k\":\"\\u0000\"}", "nul_in_string", "k");
    refuses("{\"\\u0000\":1}", "nul_in_string", "");
}

/* ---- duplicate keys -------------------------------------------------------------------------- */

Test(json, duplicate_keys)
{
    refuses("{\"a\":1,\"a\":1}", "duplicate_key", "a");
    refuses("{\"a\":1,\"b\":2,\"\\u0061\":3}", "duplicate_key", "a");
    refuses("{\"data\":{\"\":1,\"\":2}}", "duplicate_key", "data.");
    refuses("{\"x\":[{},{\"q\":{},\"q\":[]}]}", "duplicate_key", "x[1].q");
    refuses("{\"long enough for two words\":1,\"long enough for two words\":2}", "duplicate_key",
            "long enough for two words");
    accepts("{\"a\":{\"a\":{\"a\":1}},\"A\":2,\"a \":3,\"\xC3\xA4\":4,\"a\xCC\x88\":5,\"aa\":6}");
    accepts("[{\"a\":1},{\"a\":2}]");
    accepts("{\"long enough for two words\":1,\"long enough for two wordz\":2}");
}

static size_t many_members(char *text, int members, int twin, const char *prefix)
{
    char *at = text;
    *at++ = '{';
    for (int i = 0; i < members; i++)
        at += sprintf(at, "%s\"%s%d\":%d", i ? "," : "", prefix, i == twin ? 0 : i, i);
    *at++ = '}';
    return (size_t)(at - text);
}

/* Around the sizes where the way of finding duplicates changes; the twin at any place. */
Test(json, duplicate_keys_in_objects_of_any_size)
{
    char *text = malloc(65536);
    for (int members = 2; members <= 512; members += members < 70 ? 1 : 61) {
        size_t len = many_members(text, members, -1, "k");
        cr_assert_eq(parse(text, len), FP_OK, "%d: %s", members, err.what);
        cr_assert_eq(nodes[0].count, (uint32_t)members);
        for (int twin = 1; twin < members; twin += members < 70 ? 1 : 37) {
            len = many_members(text, members, twin, "k");
            refuses_bytes(text, len, "duplicate_key", "k0");
        }
    }
    free(text);
}

/* ---- limits ---------------------------------------------------------------------------------- */

Test(json, limits_hold_at_their_edge)
{
    static const struct fp_json_limits small = {.bytes_max = 60, .depth_max = 3, .nodes_max = 7,
                                                .members_max = 4, .string_max = 5, .number_max = 6};
    open_with(&small);
    accepts("[[[]]]");
    refuses("[[[[]]]]", "too_deep", "[0][0][0]");
    refuses("{\"a\":{\"b\":{\"c\":{}}}}", "too_deep", "a.b.c");
    accepts("[1,2,3,4]");
    refuses("[1,2,3,4,5]", "too_many_values", "");
    refuses("{\"m\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}}", "too_many_values", "m");
    accepts("[[1,2],[3,4]]");
    refuses("[[1,2],[3,4,5]]", "too_many_values", "[1][2]");
    accepts("{\"12345\":\"12345\"}");
    accepts("\"\\u00e9\\u00e9\\n\""); /* 13 bytes as written, 5 as they are */
    refuses("{\"a\":\"123456\"}", "string_too_long", "a");
    refuses("{\"x\":{\"123456\":1}}", "string_too_long", "x");
    refuses("[\"\\u00e9\\u00e9\\u00e9\"]", "string_too_long", "[0]");
    accepts("[-1.5e1]");
    refuses("{\"n\":-1.5e10}", "number_too_long", "n");
    char text[64];
    memset(text, ' ', sizeof text);
    memcpy(text, "[]", 2);
    cr_expect_eq(parse(text, 60), FP_OK);
    refuses_bytes(text, 61, "too_long", "");
}

Test(json, limits_of_nothing_are_refused)
{
    const struct fp_json_limits good = fp_json_limits_default;
    struct fp_json_limits bad[5] = {good, good, good, good, good};
    bad[0].bytes_max = 0;
    bad[1].depth_max = 0;
    bad[2].nodes_max = 0;
    bad[3].members_max = 0;
    bad[4].bytes_max = UINT32_MAX;
    for (size_t i = 0; i < 5; i++)
        cr_expect_null(fp_json_reader_new(&bad[i]));
    fp_json_reader_free(NULL);
}

Test(json, the_default_limits)
{
    const struct fp_json_limits *d = &fp_json_limits_default;
    cr_expect(d->bytes_max == 262144 && d->depth_max == 16 && d->nodes_max == 2048 &&
              d->members_max == 512 && d->string_max == 65536 && d->number_max == 64);
    accepts("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
    refuses("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "too_deep", NULL);
}

/* ---- hostile documents ----------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Refused by the default limits, and in bounded time also where the limits let it in. */
static void hostile(const char *text, size_t len, const char *code)
{
    static const struct fp_json_limits wide = {.bytes_max = 1 << 25, .depth_max = 64,
                                               .nodes_max = 1 << 16, .members_max = 1 << 15,
                                               .string_max = 1 << 16, .number_max = 64};
    setup();
    cr_expect_eq(fp_json_parse(reader, text, len, &nodes, &count, &err), FP_REJECT);
    cr_expect_str_eq(err.code, len > 262144 ? "too_long" : code);
    open_with(&wide);
    double start = cpu_seconds();
    cr_expect_eq(fp_json_parse(reader, text, len, &nodes, &count, &err), FP_REJECT);
    cr_expect_str_eq(err.code, code, "%s: %s", err.code, err.what);
    cr_expect_lt(cpu_seconds() - start, CPU_SECONDS_MAX);
}

Test(json, hostile_depth)
{
    size_t len = 1000000;
    char *text = malloc(5 * len);
    memset(text, '[', len);
    hostile(text, len, "too_deep");
    cr_expect(strncmp(err.where, "[0][0][0]", 9) == 0);
    for (size_t i = 0; i < len; i++)
        memcpy(text + 5 * i, "{\"a\":", 5);
    hostile(text, 5 * len, "too_deep");
    free(text);
}

Test(json, hostile_members)
{
    char *text = malloc(32000000);
    size_t len = many_members(text, 1000000, -1, "");
    hostile(text, len, "too_many_values");
    text[0] = '[';
    for (size_t i = 0; i < 1000000; i++)
        memcpy(text + 1 + 2 * i, "1,", 2);
    hostile(text, 2000000, "too_many_values");
    free(text);
}

/* As many keys as are allowed, with long equal beginnings, the same length and one filter bit. */
Test(json, hostile_keys)
{
    static const struct fp_json_limits wide = {.bytes_max = 1 << 25, .depth_max = 4,
                                               .nodes_max = 1 << 16, .members_max = 1 << 15,
                                               .string_max = 1 << 16, .number_max = 64};
    char prefix[513];
    memset(prefix, 'k', 512);
    prefix[512] = '\0';
    char *text = malloc(32000000);
    size_t len = many_members(text, 1 << 15, (1 << 15) - 1, prefix);
    open_with(&wide);
    double start = cpu_seconds();
    refuses_bytes(text, len, "duplicate_key", NULL);
    cr_expect_lt(cpu_seconds() - start, CPU_SECONDS_MAX);
    free(text);
}

Test(json, hostile_strings_and_numbers)
{
    size_t len = 1 << 20;
    char *text = malloc(len + 16);
    memset(text, 'a', len);
    text[0] = text[len - 1] = '"';
    hostile(text, len, "string_too_long");
    for (size_t i = 1; i + 1 < len; i += 2)
        memcpy(text + i, "\\n", 2);
    text[len - 1] = '"';
    hostile(text, len, "string_too_long");
    memset(text, '\\', len); /* never closed */
    text[0] = '"';
    hostile(text, len, "bad_json");
    memset(text, '9', len);
    hostile(text, len, "number_too_long");
    memset(text, ' ', len);
    hostile(text, len, "empty");
    memset(text, '"', len);
    hostile(text, len, "trailing_bytes");
    memset(text, 0, len);
    hostile(text, len, "bad_json");
    free(text);
}

/* ---- every place ----------------------------------------------------------------------------- */

static const char sample[] =
    "{\"specversion\":\"1.0\",\"id\":\"r-1\",\"n\":-1.25e3,\"t\":true,\"f\":false,\"z\":null,"
    "\"e\":[],\"data\":{\"scores\":{\"recommend\":6,\"kept\":\"na\"},"
    "\"x\":[1,[2,{\"y\":\"\\u00e4\\n\"}]]}}";

Test(json, every_truncation_is_refused)
{
    accepts(sample);
    for (size_t len = 0; len < sizeof sample - 1; len++)
        cr_expect_eq(parse(sample, len), FP_REJECT, "accepted: %.*s", (int)len, sample);
}

/* Any byte put in any place: never a crash, and what is accepted is a consistent tree. */
Test(json, every_byte_in_every_place)
{
    char text[sizeof sample];
    int accepted = 0;
    for (size_t at = 0; at < sizeof sample - 1; at++) {
        for (int c = 0; c < 256; c++) {
            memcpy(text, sample, sizeof sample);
            text[at] = (char)c;
            enum fp_status status =
                fp_json_parse(reader, text, sizeof text - 1, &nodes, &count, &err);
            cr_assert(status == FP_OK || status == FP_REJECT);
            if (status != FP_OK)
                continue;
            accepted++;
            cr_assert_eq(nodes[0].next, count);
            for (uint32_t i = 0; i < count; i++)
                cr_assert(nodes[i].next > i && nodes[i].next <= count);
        }
    }
    cr_expect_gt(accepted, 5000); /* other letters within strings */
}

/* One reader, used again after each kind of failure. */
Test(json, a_failure_leaves_nothing_behind)
{
    static const char *const bad[] = {
        "[[[[", "{\"a\":\"\\ud800\"}", "", "{\"a\":1,\"a\":2}", "\xFF", "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(parse(bad[i], strlen(bad[i])), FP_REJECT);
        accepts(sample);
        cr_expect_eq(nodes[fp_json_member(nodes, 0, "data")].count, 2);
        cr_expect_eq(fp_json_parse(reader, bad[i], strlen(bad[i]), &nodes, &count, NULL),
                     FP_REJECT);
    }
}

/* Paths are cut to the size of the error, never within a character. */
Test(json, long_paths_are_cut)
{
    char text[800] = "{\"";
    size_t at = 2;
    for (int i = 0; i < 300; i++)
        at += encode(text + at, 0xE9);
    strcpy(text + at, "\":01}");
    refuses(text, "bad_json", NULL);
    cr_expect(strlen(err.where) < sizeof err.where && strlen(err.where) > 150);
    cr_expect(well_formed((const unsigned char *)err.where, strlen(err.where)));
    refuses("{\"a\\nb\":01}", "bad_json", "a b"); /* a log line stays one line */
}

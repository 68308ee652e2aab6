/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/options.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One parse and all that belongs to it. The path of the file is unique to the test's process. */
static struct fp_options *options;
static char problems[8192];
static char path[64];

static void tidy(void)
{
    fp_options_free(options);
    options = NULL;
    if (*path)
        unlink(path);
}

static void setup(void)
{
    for (char **variable = environ; *variable; variable++)
        cr_assert(strncmp(*variable, "FLIGHTPATH_", 11) != 0 ||
                      strncmp(*variable, "FLIGHTPATH_TEST_", 16) == 0 ||
                      strncmp(*variable, "FLIGHTPATH_B", 12) == 0 ||
                      strncmp(*variable, "FLIGHTPATH_CACHE", 16) == 0 ||
                      strncmp(*variable, "FLIGHTPATH_JOBS", 15) == 0,
                  "%s would get into the test; unset it", *variable);
}

TestSuite(options, .init = setup, .fini = tidy);

static enum fp_status parse(enum fp_command command, ...) __attribute__((sentinel));
static enum fp_status parse(enum fp_command command, ...)
{
    char *argv[64];
    int argc = 0;
    va_list args;
    va_start(args, command);
    for (const char *word; (word = va_arg(args, const char *)) != NULL;)
        argv[argc++] = (char *)(uintptr_t)word;
    va_end(args);
    fp_options_free(options);
    return fp_options_parse(command, argc, argv, &options, problems, sizeof problems);
}

static const char *write_file(const char *text, size_t len)
{
    strcpy(path, "/tmp/flightpath-options-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    close(fd);
    return path;
}

#define SERVER "--kafka.bootstrap.servers=k:9092"
#define NEEDED "--model=m.json", "--postgres=dbname=x", SERVER

#define assert_problem(text) \
    cr_assert(strstr(problems, text) != NULL, "no \"%s\" in:\n%s", text, problems)
#define assert_no_problem(text) \
    cr_assert(strstr(problems, text) == NULL, "\"%s\" in:\n%s", text, problems)

static size_t problem_count(void)
{
    size_t count = 0;
    for (const char *at = problems; *at; at++)
        count += *at == '\n';
    return count;
}

Test(options, defaults)
{
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, NULL), FP_OK, "%s", problems);
    cr_assert_str_eq(options->topics, "experience.touchpoints,experience.responses");
    cr_assert_eq(options->topic_count, 2);
    cr_assert_str_eq(options->topic[1], "experience.responses");
    cr_assert_str_eq(options->group, "flightpath");
    cr_assert_str_eq(options->dead_letters_topic, "experience.dead-letters");
    cr_assert_str_eq(options->alerts_topic, "experience.alerts");
    cr_assert_str_eq(options->http_listen, "127.0.0.1:9464");
    cr_assert_str_eq(options->on_offset_lost, "halt");
    cr_assert_str_eq(options->subject_key_file, "");
    cr_assert_null(options->postgres_password);
    cr_assert_eq(options->flush_ms, 1000);
    cr_assert_eq(options->batch_messages, 50000);
    cr_assert_eq(options->batch_bytes, 64 << 20);
    cr_assert_eq(options->dedup_window, 250000);
    cr_assert_eq(options->lanes, 4);
    cr_assert_eq(options->flush_deadline_ms, 30000);
    cr_assert_eq(options->shutdown_ms, 30000);
    cr_assert_eq(options->prefetch_kb, 32768);
    cr_assert_not(options->until_caught_up);
}

Test(options, later_sources_win)
{
    static const char text[] = "flush_ms = 100\nlanes=7\ngroup = from-file\n";
    setenv("FLIGHTPATH_CONFIG", write_file(text, sizeof text - 1), 1);
    setenv("FLIGHTPATH_FLUSH_MS", "200", 1);
    setenv("FLIGHTPATH_GROUP", "from-environment", 1);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--flush-ms", "300", NULL), FP_OK, "%s", problems);
    cr_assert_eq(options->flush_ms, 300);
    cr_assert_str_eq(options->group, "from-environment");
    cr_assert_eq(options->lanes, 7);
    cr_assert_str_eq(options->config, path);
}

Test(options, config_flag_beats_the_variable)
{
    setenv("FLIGHTPATH_CONFIG", "/nonexistent/flightpath.conf", 1);
    write_file("lanes = 9\n", 10);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--config", path, NULL), FP_OK, "%s", problems);
    cr_assert_eq(options->lanes, 9);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, NULL), FP_REJECT);
    assert_problem("environment FLIGHTPATH_CONFIG: cannot read the configuration file "
                   "\"/nonexistent/flightpath.conf\": No such file or directory");
}

Test(options, file_syntax)
{
    static const char text[] = "\xEF\xBB\xBF# a comment\r\n\n  \t\nlanes=3\r\n"
                               "  group  =  g \npostgres = \"host=x password=a\\\"b\\\\c #d\"\n"
                               "http_listen =\"\"\n";
    write_file(text, sizeof text - 1);
    cr_assert_eq(parse(FP_CMD_RUN, "--model=m", SERVER, "--config", path, NULL), FP_OK, "%s",
                 problems);
    cr_assert_eq(options->lanes, 3);
    cr_assert_str_eq(options->group, "g");
    cr_assert_str_eq(options->postgres, "host=x password=a\"b\\c #d");
    cr_assert_str_eq(options->http_listen, "");
}

Test(options, all_problems_of_a_file_at_once)
{
    static const char text[] =
        "lanes 3\nflsh_ms = 1\nflush_ms = soon\ngroup = a # b\n"
        "lanes = 3\nlanes = 4\npostgres = \"x\nseed = 1\nbootstrap.servers=x\n"
        "batch_bytes = 5 MB\nlog_level =\n";
    char expected[256];
    write_file(text, sizeof text - 1);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--config", path, NULL), FP_REJECT);
    static const char *const wanted[] = {
        ":1: \"lanes 3\" is not `name = value`",
        ":2: flsh_ms: unknown option; did you mean flush_ms?",
        ":3: flush_ms: \"soon\" is not a duration: milliseconds, or with a unit 500ms, 2s, 5m, 1h",
        ":4: group: has \" #\"",
        ":6: lanes: given already on line 5",
        ":7: postgres: the quotes do not match",
        ":8: seed: belongs on the command line only",
        ":9: bootstrap.servers: unknown option; properties of librdkafka are written",
        ":10: batch_bytes: \"5 MB\" is not a size: bytes, or with a unit 512KiB, 64MiB, 1GiB",
        ":11: log_level: is empty"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        snprintf(expected, sizeof expected, "%s%.90s", path, wanted[i]);
        assert_problem(expected);
    }
    cr_assert_eq(problem_count(), sizeof wanted / sizeof *wanted, "%s", problems);
    cr_assert_eq(options->lanes, 3, "what is right is kept");
    cr_assert_eq(options->flush_ms, 1000, "what is wrong keeps its default");
}

Test(options, a_file_that_is_none)
{
    char zero[] = "lanes = 1\0\n";
    write_file(zero, sizeof zero - 1);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--config", path, NULL), FP_REJECT);
    assert_problem("holds a NUL byte");
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--config=/", NULL), FP_REJECT);
    assert_problem("flag --config: cannot read the configuration file \"/\"");
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--config", NULL), FP_REJECT);
    assert_problem("flag --config: config: needs a value");
}

Test(options, a_file_serves_all_commands)
{
    static const char text[] = "model = m\npostgres = dbname=x\nkafka.bootstrap.servers = k\n"
                               "http_listen = 127.0.0.1:1\nlanes = 2\n";
    write_file(text, sizeof text - 1);
    for (unsigned command = FP_CMD_RUN; command <= FP_CMD_REFERENCE; command <<= 1) {
        const char *argument = command == FP_CMD_DEAD_LETTERS ? "list" : NULL;
        cr_assert_eq(parse((enum fp_command)command, "--config", path, argument, NULL), FP_OK,
                     "%u: %s", command, problems);
    }
    cr_assert_eq(parse(FP_CMD_MIGRATE, "--config", path, "--lanes=2", NULL), FP_REJECT);
    assert_problem("flag --lanes: lanes: not an option of flightpath migrate");
}

Test(options, numbers_and_units)
{
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--flush-ms=2s", "--shutdown-ms=1m",
                       "--batch-bytes=1GiB", "--flush-deadline-ms", "1500ms", "--prefetch-kb=+2048",
                       NULL),
                 FP_REJECT);
    cr_assert_eq(problem_count(), 1, "%s", problems);
    assert_problem("prefetch_kb: \"+2048\" is not a whole number");
    cr_assert_eq(options->flush_ms, 2000);
    cr_assert_eq(options->shutdown_ms, 60000);
    cr_assert_eq(options->flush_deadline_ms, 1500);
    cr_assert_eq(options->batch_bytes, 1 << 30);
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "1.5",
                                      "0x10",
                                      "1e3",
                                      "-1",
                                      "abc",
                                      "9223372036854775808",
                                      "99999999999999999h",
                                      "1d"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "--flush-ms=%s", bad[i]);
        cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_REJECT, "\"%s\"", bad[i]);
        assert_problem("flag --flush-ms: flush_ms: ");
        cr_assert_eq(options->flush_ms, 1000);
    }
}

Test(options, ranges_include_their_ends)
{
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--lanes=1", "--flush-ms=10m", NULL), FP_OK, "%s",
                 problems);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--lanes=0", "--flush-ms=600001", NULL), FP_REJECT);
    assert_problem("lanes: \"0\" is out of range; give 1 to 64");
    assert_problem("flush_ms: \"600001\" is out of range; give 10ms to 10m");
    cr_assert_eq(parse(FP_CMD_GENERATE, "--bad-share=0.5", NULL), FP_OK, "%s", problems);
    cr_assert_float_eq(options->bad_share, 0.5, 0);
    static const char *const bad[] = {"--bad-share=0.51", "--bad-share=nan", "--bad-share=-0.1",
                                      "--bad-share=1e", "--bad-share=0x0p0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(parse(FP_CMD_GENERATE, bad[i], NULL), FP_REJECT, "%s", bad[i]);
}

Test(options, flags)
{
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--until-caught-up", "--subject_key_file", "k", NULL),
                 FP_OK, "%s", problems);
    cr_assert(options->until_caught_up);
    cr_assert_str_eq(options->subject_key_file, "k");
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--until-caught-up=no", NULL), FP_OK, "%s", problems);
    cr_assert_not(options->until_caught_up);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--until-caught-up=maybe", "--toppics", "x", "-v",
                       "word", "--group", NULL),
                 FP_REJECT);
    assert_problem("flag --until-caught-up: until_caught_up: \"maybe\" is neither true nor false");
    assert_problem("flag --toppics: toppics: unknown option; did you mean topics?");
    assert_problem("command line: \"-v\": options begin with two dashes");
    assert_problem("command line: \"word\": flightpath run takes no arguments");
    assert_problem("flag --group: group: needs a value");
    cr_assert_eq(problem_count(), 5, "%s", problems);
}

Test(options, arguments)
{
    cr_assert_eq(parse(FP_CMD_DEAD_LETTERS, "list", SERVER, "--limit=5", "--", "--x", NULL), FP_OK,
                 "%s", problems);
    cr_assert_eq(options->argument_count, 2);
    cr_assert_str_eq(options->arguments[0], "list");
    cr_assert_str_eq(options->arguments[1], "--x");
    cr_assert_eq(options->limit, 5);
    cr_assert_eq(parse(FP_CMD_DEAD_LETTERS, SERVER, NULL), FP_REJECT);
    assert_problem("flightpath dead-letters needs list|show|redrive");
}

Test(options, required)
{
    cr_assert_eq(parse(FP_CMD_RUN, NULL), FP_REJECT);
    assert_problem("model: is required; set it in the configuration file, as FLIGHTPATH_MODEL in "
                   "the environment or as --model");
    assert_problem("postgres: is required");
    assert_problem("kafka.bootstrap.servers: is required; set it in the configuration file, as "
                   "FLIGHTPATH_KAFKA_BOOTSTRAP_SERVERS in the environment or as "
                   "--kafka.bootstrap.servers");
    cr_assert_eq(problem_count(), 3, "%s", problems);
    cr_assert_eq(parse(FP_CMD_RUN, "--help", "--lanes=x", NULL), FP_OK, "help wins");
    cr_assert(options->help);
}

static const char *property(const char *name)
{
    for (size_t i = 0; i < options->kafka.property_count; i++)
        if (strcmp(options->kafka.properties[i].name, name) == 0)
            return options->kafka.properties[i].value;
    return NULL;
}

Test(options, kafka_properties)
{
    setenv("FLIGHTPATH_KAFKA_BOOTSTRAP_SERVERS", "e:1", 1);
    setenv("FLIGHTPATH_KAFKA_SASL_USERNAME", "u", 1);
    setenv("FLIGHTPATH_KAFKA_ODD__NAME", "o", 1);
    setenv("FLIGHTPATH_KAFKA_SASL_PASSWORD_FILE", write_file("s3cret\r\n", 8), 1);
    cr_assert_eq(parse(FP_CMD_RUN, "--model=m", "--postgres=x", "--kafka.sasl.username", "w",
                       "--kafka.client.id=c=d", NULL),
                 FP_OK, "%s", problems);
    cr_assert_str_eq(property("bootstrap.servers"), "e:1");
    cr_assert_str_eq(property("sasl.username"), "w");
    cr_assert_str_eq(property("client.id"), "c=d");
    cr_assert_str_eq(property("odd_name"), "o");
    cr_assert_str_eq(property("sasl.password"), "s3cret");
    cr_assert_null(property("sasl.password_file"));
    cr_assert_eq(options->kafka.property_count, 5);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--kafka.group.id=x", "--kafka.auto.offset.reset=latest",
                       "--kafka.Bad=x", "--kafka.acks=", "--kafka.=x", NULL),
                 FP_REJECT);
    assert_problem("kafka.group.id: may not be set: set `group` instead");
    assert_problem("kafka.auto.offset.reset: may not be set: set `on_offset_lost` instead");
    assert_problem("kafka.Bad: not the name of a librdkafka property");
    assert_problem("kafka.acks: is empty");
    assert_problem("kafka.: not the name");
    cr_assert_eq(problem_count(), 5, "%s", problems);
}

Test(options, too_many_properties)
{
    char *argv[200], words[200][32];
    for (int i = 0; i < 200; i++) {
        snprintf(words[i], sizeof words[i], "--kafka.p%d=x", i);
        argv[i] = words[i];
    }
    cr_assert_eq(fp_options_parse(FP_CMD_GENERATE, 200, argv, &options, problems, sizeof problems),
                 FP_REJECT);
    assert_problem("kafka.p128: more than 128 Kafka properties");
    cr_assert_eq(options->kafka.property_count, 128);
}

Test(options, password_file)
{
    char flag[128];
    snprintf(flag, sizeof flag, "--postgres-password-file=%s", write_file("pass word\n", 10));
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_OK, "%s", problems);
    cr_assert_str_eq(options->postgres_password, "pass word");
    cr_assert_eq(truncate(path, 0), 0);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_REJECT);
    assert_problem("postgres_password_file: \"");
    assert_problem("holds no secret; write it there as one line of text");
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--postgres-password-file=/nonexistent", NULL),
                 FP_REJECT);
    assert_problem(
        "postgres_password_file: cannot read \"/nonexistent\": No such file or directory");
}

Test(options, environment)
{
    setenv("FLIGHTPATH_MODLE", "x", 1);
    setenv("FLIGHTPATH_SEED", "1", 1);
    setenv("FLIGHTPATH_LANES", "many", 1);
    setenv("FLIGHTPATH_GROUP", "", 1);
    /* what Kubernetes adds beside a service of this name, and what the tests use */
    setenv("FLIGHTPATH_PORT", "tcp://10.0.0.1:9464", 1);
    setenv("FLIGHTPATH_PORT_9464_TCP_ADDR", "10.0.0.1", 1);
    setenv("FLIGHTPATH_SERVICE_HOST", "10.0.0.1", 1);
    setenv("FLIGHTPATH_FAULT", "x:1:kill", 1);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, NULL), FP_REJECT);
    assert_problem("environment FLIGHTPATH_MODLE: modle: unknown option; did you mean model?");
    assert_problem("environment FLIGHTPATH_SEED: seed: belongs on the command line only");
    assert_problem("environment FLIGHTPATH_LANES: lanes: \"many\" is not a whole number");
    assert_problem("environment FLIGHTPATH_GROUP: group: is empty");
    cr_assert_eq(problem_count(), 4, "%s", problems);
}

Test(options, topics)
{
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--topics= a.b , c_d-1 ", NULL), FP_OK, "%s", problems);
    cr_assert_eq(options->topic_count, 2);
    cr_assert_str_eq(options->topic[0], "a.b");
    cr_assert_str_eq(options->topic[1], "c_d-1");
    static const char *const bad[] = {
        "a,,b", ",", "a b", "a/b", ".", "a,..", "ä", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--topics", bad[i], NULL), FP_REJECT, "%s", bad[i]);
        assert_problem("flag --topics: topics: \"");
    }
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--topics=a,b,a", "--alerts-topic=b",
                       "--dead-letters-topic=a", NULL),
                 FP_REJECT);
    assert_problem("topics: \"a\" is there twice");
    assert_problem("alerts_topic: \"b\" is among `topics` too");
    assert_problem("dead_letters_topic: \"a\" is among `topics` too");
}

Test(options, addresses_and_dates)
{
    static const char *const good[] = {"", "127.0.0.1:0", ":9464", "[::1]:80", "localhost:65535"};
    static const char *const bad[] = {
        "9464",           "127.0.0.1",    "127.0.0.1:", "127.0.0.1:65536", "::1:80",
        "example.org:80", "127.0.0.1:-1", "[::1]80",    "127.0.0.1:0x50",  "256.0.0.1:1"};
    char flag[64];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(flag, sizeof flag, "--http-listen=%s", good[i]);
        cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_OK, "%s", problems);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(flag, sizeof flag, "--http-listen=%s", bad[i]);
        cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_REJECT, "%s", bad[i]);
    }
    cr_assert_eq(parse(FP_CMD_GENERATE, "--start=2024-02-29", NULL), FP_OK, "%s", problems);
    static const char *const dates[] = {"2023-02-29", "2024-13-01",  "2024-1-1",   "2024-04-31",
                                        "20240101",   "2024-01-01T", "1900-02-29", "2024-00-10"};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++)
        cr_assert_eq(parse(FP_CMD_GENERATE, "--start", dates[i], NULL), FP_REJECT, "%s", dates[i]);
}

static char *printed(void (*print)(FILE *out))
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    print(out);
    fclose(out);
    return text;
}

static void dump(FILE *out)
{
    fp_options_dump(out, options);
}

Test(options, secrets_are_never_shown)
{
    static const char *const conninfos[][2] = {
        {"host=a password=hunter2 user=b", "host=a password=*** user=b"},
        {"host=a password = 'hunter2 \\' x' user=b", "host=a password = *** user=b"},
        {"password=hunter2", "password=***"},
        {"sslpassword=hunter2 host=a", "sslpassword=*** host=a"},
        {"host=/a:b password=hunter2", "host=/a:b password=***"},
        {"postgresql://u:hunter2@h:5/d?x=1", "postgresql://u:***@h:5/d?x=1"},
        {"postgres://u:p@hunter2@h/d", "postgres://u:***@h/d"},
        {"postgres://u@h/d?password=hunter2&sslmode=x", "postgres://u@h/d?password=***&sslmode=x"},
        {"postgres://h/d", "postgres://h/d"}};
    char flag[160], expected[160];
    for (size_t i = 0; i < sizeof conninfos / sizeof *conninfos; i++) {
        snprintf(flag, sizeof flag, "--postgres=%s", conninfos[i][0]);
        cr_assert_eq(parse(FP_CMD_RUN, "--model=m", SERVER, flag, "--kafka.sasl.password=hunter2",
                           "--kafka.ssl.key.pem=hunter2", NULL),
                     FP_OK, "%s", problems);
        char *text = printed(dump);
        snprintf(expected, sizeof expected, "\"postgres\":{\"value\":\"%s\"", conninfos[i][1]);
        cr_assert(strstr(text, expected), "%s not in %s", expected, text);
        cr_assert(strstr(text, "\"kafka.sasl.password\":{\"value\":\"***\""), "%s", text);
        cr_assert_null(strstr(text, "hunter2"), "%s", text);
        free(text);
    }
    cr_assert_eq(parse(FP_CMD_RUN, "--model=m", SERVER, "--postgres=hunter2\x01", NULL), FP_REJECT);
    assert_problem("postgres: holds a control character");
    assert_no_problem("hunter2");
}

Test(options, urls)
{
    static const char *const good[] = {"http://a:9093", "https://a.b/alerts", "HTTP://[::1]:9093/",
                                       "http://a:1,https://b:65535 , http://c/x/", ""};
    static const char *const bad[][2] = {
        {"alertmanager:9093", "give a URL that begins with http:// or https://"},
        {"ftp://a", "give a URL that begins"},
        {"http://", "give a URL that begins"},
        {"http:///x", "has no host"},
        {"http://:9093", "has no host"},
        {"http://[::1:9093", "has no host"},
        {"http://a:0", "has a port that is not between"},
        {"http://a:70000", "has a port that is not between"},
        {"http://a:x", "has a port that is no number"},
        {"http://a:", "has a port that is not between"},
        {"http://a b", "a URL has no spaces"},
        {"http://a?x=1", "give the address alone"},
        {"http://a/#x", "give the address alone"},
        {"http://a,", "give a URL that begins"},
        {"http://a,http://u:hunter2@b", "holds a user or a password"},
        {"https://hunter2@a", "holds a user or a password"},
        {"http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a",
         "at most 8"}};
    char flag[160], expected[160];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(flag, sizeof flag, "--alertmanager-url=%s", good[i]);
        cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_OK, "%s", problems);
        cr_assert_str_eq(options->alertmanager_url, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(flag, sizeof flag, "--alertmanager-url=%s", bad[i][0]);
        snprintf(expected, sizeof expected, "alertmanager_url: %s", bad[i][1]);
        cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_REJECT, "\"%s\"", bad[i][0]);
        assert_problem(expected);
        assert_no_problem("hunter2");
    }
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--dashboard-url=https://g/d/x?orgId=1,2#a", NULL),
                 FP_OK, "%s", problems);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--dashboard-url=https://u:hunter2@g/d", NULL),
                 FP_REJECT);
    assert_problem("dashboard_url: holds a user or a password");
    assert_no_problem("hunter2");
}

Test(options, token_file)
{
    write_file("hunter2\n", 8);
    char flag[128];
    snprintf(flag, sizeof flag, "--alertmanager-token-file=%s", path);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, flag, NULL), FP_OK, "%s", problems);
    cr_assert_str_eq(options->alertmanager_token, "hunter2");
    char *text = printed(dump);
    cr_assert_null(strstr(text, "hunter2"), "%s", text);
    free(text);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--alertmanager-token-file=/nonexistent", NULL),
                 FP_REJECT);
    assert_problem("alertmanager_token_file: cannot read \"/nonexistent\"");
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, NULL), FP_OK, "%s", problems);
    cr_assert_null(options->alertmanager_token);
}

Test(options, backtest)
{
#define BACKTEST FP_CMD_BACKTEST, "--model=m", "--postgres=dbname=x"
    cr_assert_eq(parse(BACKTEST, NULL), FP_OK, "%s", problems);
    cr_assert_eq(options->false_episodes, 0.0, "the model's");
    cr_assert_str_empty(options->from);
    cr_assert_eq(parse(BACKTEST, "--false-episodes=2.5", "--from=2026-01-01", "--until=2026-06-30",
                       "--kpi=nps", NULL),
                 FP_OK, "%s", problems);
    cr_assert_eq(options->false_episodes, 2.5);
    cr_assert_str_eq(options->until, "2026-06-30");
    cr_assert_eq(parse(BACKTEST, "--false-episodes=0", "--from=2026-02-30", NULL), FP_REJECT);
    assert_problem("false_episodes: \"0\" is out of range; give 0.01 to 10000");
    assert_problem("from: \"2026-02-30\"");
    cr_assert_eq(parse(FP_CMD_BACKTEST, NULL), FP_REJECT);
    assert_problem("model: is required");
    assert_problem("postgres: is required");
}

Test(options, dump_names_the_sources)
{
    setenv("FLIGHTPATH_LANES", "8", 1);
    write_file("flush_ms = 250\n", 15);
    cr_assert_eq(parse(FP_CMD_RUN, NEEDED, "--config", path, "--group=a\"b", NULL), FP_OK, "%s",
                 problems);
    char *text = printed(dump), expected[160];
    cr_assert(
        strstr(text, "\"lanes\":{\"value\":\"8\",\"from\":\"environment FLIGHTPATH_LANES\"}"));
    cr_assert(strstr(text, "\"group\":{\"value\":\"a\\\"b\",\"from\":\"flag --group\"}"), "%s",
              text);
    cr_assert(strstr(text, "\"shutdown_ms\":{\"value\":\"30s\",\"from\":\"default\"}"), "%s", text);
    snprintf(expected, sizeof expected, "\"flush_ms\":{\"value\":\"250ms\",\"from\":\"%s:1\"}",
             path);
    cr_assert(strstr(text, expected), "%s", text);
    cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "one line");
    free(text);
}

Test(options, reference_and_help_come_from_the_table)
{
    char *reference = printed(fp_options_reference);
    static const char *const names[] = {"model",          "topics",           "group",
                                        "postgres",       "subject_key_file", "dead_letters_topic",
                                        "alerts_topic",   "http_listen",      "flush_ms",
                                        "until_caught_up"};
    char cell[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(cell, sizeof cell, "| `%s` |", names[i]);
        cr_assert(strstr(reference, cell), "%s", cell);
    }
    cr_assert(strstr(reference, "| duration, 10ms to 10m | `1s` |"));
    cr_assert(strstr(reference, "choice, halt \\| skip"));
    free(reference);
    char *help;
    size_t len;
    FILE *out = open_memstream(&help, &len);
    fp_options_help(out, FP_CMD_MIGRATE, "migrate", "Summary.");
    fclose(out);
    cr_assert(strstr(help, "--postgres CONNINFO"));
    cr_assert_null(strstr(help, "--lanes"));
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
        cr_assert_leq(strcspn(line, "\n"), 96, "%.100s", line);
    free(help);
}

Test(options, more_problems_than_room)
{
    char *argv[100], words[100][40], small[400];
    for (int i = 0; i < 100; i++) {
        snprintf(words[i], sizeof words[i], "--unheard-of-%d=1", i);
        argv[i] = words[i];
    }
    cr_assert_eq(fp_options_parse(FP_CMD_REFERENCE, 100, argv, &options, small, sizeof small),
                 FP_REJECT);
    cr_assert_lt(strlen(small), sizeof small);
    unsigned more = 0;
    const char *last = strstr(small, "... and ");
    cr_assert(last && sscanf(last, "... and %u more\n", &more) == 1, "%s", small);
    size_t shown = 0;
    for (const char *at = small; at < last; at++)
        shown += *at == '\n';
    cr_assert_eq(shown + more, 100);
}

Test(options, edit_distance)
{
    cr_assert_eq(fp_edit_distance("", "", 9), 0);
    cr_assert_eq(fp_edit_distance("abc", "abc", 9), 0);
    cr_assert_eq(fp_edit_distance("abc", "", 9), 3);
    cr_assert_eq(fp_edit_distance("modle", "model", 9), 1, "a swap is one edit");
    cr_assert_eq(fp_edit_distance("kitten", "sitting", 9), 3);
    char name[100];
    memset(name, 'x', 99);
    name[99] = '\0';
    cr_assert_eq(fp_edit_distance(name, "x", 4), 5, "too long to compare");
}

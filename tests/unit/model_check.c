/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `flightpath check`: what it prints and returns, for sound and spoiled files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/command.h"
#include "daemon/model_json.h"
#include "tests/unit/model_text.h"

#define GOOD                                                                                       \
    "{\"id\":\"m1\",\"source\":\"/s\",\"type\":\"experience.response.v1\","                        \
    "\"specversion\":\"1.0\",\"time\":\"2026-03-02T18:40:00Z\",\"data\":{\"audience\":"            \
    "\"customer\","                                                                                \
    "\"survey\":\"v\",\"journey\":\"open_account\",\"scores\":{\"recommend\":9}}}"
#define OUT_OF_SCALE                                                                               \
    "{\"id\":\"m2\",\"source\":\"/s\",\"type\":\"experience.response.v1\","                        \
    "\"specversion\":\"1.0\",\"time\":\"2026-03-02T18:40:00Z\",\"data\":{\"audience\":"            \
    "\"customer\","                                                                                \
    "\"survey\":\"v\",\"journey\":\"open_account\",\"scores\":{\"recommend\":11}}}"

static char directory[] = "/tmp/flightpath-check-XXXXXX";
static char model[64], broken[64], messages[64], one[64], key[64], printed[64];
static struct fp_options *options;

static void write_file(char path[64], const char *name, const char *text)
{
    snprintf(path, 64, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static void setup(void)
{
    cr_assert_not_null(mkdtemp(directory));
    write_file(model, "model.json", model_text);
    char *text = model_text_with("\"target\": 40", "\"tagret\": 40");
    write_file(broken, "broken.json", text);
    free(text);
    write_file(messages, "messages.jsonl", GOOD "\n\n" OUT_OF_SCALE "\r\n{\"a\"\n" GOOD);
    write_file(one, "one.json", GOOD "\n");
    write_file(key, "key", "0123456789abcdef\n");
    write_file(printed, "printed", "");
    char problems[1024];
    cr_assert_neq(fp_options_parse(FP_CMD_CHECK, 0, NULL, &options, problems, sizeof problems),
                  FP_FATAL);
    options->model = model;
    options->subject_key_file = key;
}

static void teardown(void)
{
    char *const files[] = {model, broken, messages, one, key, printed};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    rmdir(directory);
    fp_options_free(options);
}

TestSuite(model_check, .init = setup, .fini = teardown);

/* Runs the command and returns its exit code; *text is what it printed, the caller frees. */
static int check(char **text)
{
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    cr_assert_not_null(freopen(printed, "w", stdout));
    int code = fp_cmd_check(options);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    *text = calloc(1, 65536);
    FILE *file = fopen(printed, "r");
    cr_assert_not_null(file);
    cr_expect_lt(fread(*text, 1, 65535, file), 65535);
    fclose(file);
    return code;
}

static void expect_text(int code, const char *const *wanted)
{
    char *text;
    int found = check(&text);
    cr_expect_eq(found, code);
    for (; *wanted; wanted++)
        cr_expect(strstr(text, *wanted), "no \"%s\" in:\n%s", *wanted, text);
    free(text);
}
#define EXPECT_TEXT(code, ...) expect_text(code, (const char *const[]){__VA_ARGS__, NULL})

Test(model_check, sound)
{
    EXPECT_TEXT(FP_EXIT_OK, "bank (The Bank, Europe/Amsterdam)", "2 main, 6 detailed",
                "KPIs               7", "no problems found");
}

Test(model_check, all_at_once)
{
    options->model = broken;
    options->messages_file = messages;
    options->subject_key_file = "/nonexistent/key";
    EXPECT_TEXT(FP_EXIT_USAGE, "/nonexistent/key: ",
                "broken.json: $.kpis[0].tagret: unknown key \"tagret\" — did you mean \"target\"?",
                "messages.jsonl:4: ", "4 messages read", "3 problems found");
}

Test(model_check, messages_against_the_model)
{
    options->messages_file = messages;
    EXPECT_TEXT(FP_EXIT_USAGE, "messages.jsonl:3: data.scores.recommend: ", "messages.jsonl:4: ",
                "2 problems found");
    options->model = "/nonexistent/model.json";
    EXPECT_TEXT(FP_EXIT_USAGE, "/nonexistent/model.json: $: cannot read",
                "messages.jsonl:4: ", "2 problems found");
}

Test(model_check, raw_messages)
{
    const char *const files[] = {one, broken, "/nonexistent/message"};
    options->arguments = files;
    options->argument_count = 1;
    EXPECT_TEXT(FP_EXIT_OK, "1 messages read", "no problems found");
    options->argument_count = 3;
    EXPECT_TEXT(FP_EXIT_USAGE, "broken.json: ", "/nonexistent/message: cannot read it",
                "2 messages read", "2 problems found");
}

Test(model_check, notes)
{
    const struct fp_property scram[] = {{"sasl.mechanisms", "SCRAM-SHA-512"},
                                        {"sasl.mechanism", "SCRAM-SHA-512"}};
    options->kafka.properties = scram;
    options->kafka.property_count = 2;
    options->subject_key_file = "";
    EXPECT_TEXT(FP_EXIT_OK, "note: subject_key_file is not set", "note: SCRAM");
}

static const struct fp_node *parse_output(struct fp_arena *arena, int code)
{
    char *text;
    struct fp_node_error error;
    int found = check(&text);
    cr_expect_eq(found, code);
    const struct fp_node *root = fp_node_parse(arena, text, strlen(text), &error);
    cr_assert_not_null(root, "%s in %s", error.what, text);
    free(text);
    return root;
}

Test(model_check, json)
{
    struct fp_arena arena = {0};
    options->json = true;
    options->messages_file = messages;
    const struct fp_node *root = parse_output(&arena, FP_EXIT_USAGE);
    cr_expect_eq(fp_node_get(root, "ok")->number, 0);
    cr_expect_eq(fp_node_int(fp_node_get(root, "model"), "kpis", -1), 7);
    cr_expect_eq(strlen(fp_node_string(fp_node_get(root, "model"), "hash", "")), 64);
    cr_expect_eq(fp_node_int(fp_node_get(root, "messages"), "read", -1), 4);
    cr_expect_eq(fp_node_int(fp_node_get(root, "messages"), "response", -1), 2);
    const struct fp_node *problems = fp_node_list(root, "problems");
    cr_assert_eq(problems->count, 2);
    const struct fp_node *first = problems->child;
    cr_expect_str_eq(fp_node_string(first, "file", ""), messages);
    cr_expect_eq(fp_node_int(first, "line", -1), 3);
    cr_expect_str_eq(fp_node_string(first, "path", ""), "data.scores.recommend");
    cr_expect_str_eq(fp_node_string(first, "code", ""), "out_of_scale");
    cr_expect_neq(fp_node_string(first, "what", "")[0], '\0');
    cr_expect_not_null(fp_node_string(first, "hint", NULL));
    fp_arena_free(&arena);

    options->messages_file = "";
    root = parse_output(&arena, FP_EXIT_OK);
    cr_expect_eq(fp_node_get(root, "ok")->number, 1);
    cr_expect_eq(fp_node_list(root, "problems")->count, 0);
    fp_arena_free(&arena);

    options->model = broken;
    root = parse_output(&arena, FP_EXIT_USAGE);
    cr_expect_eq(fp_node_get(root, "model")->type, FP_NODE_NULL);
    fp_arena_free(&arena);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The published examples are the decoder's: what schemas/events/examples calls valid is accepted,
 * what it calls invalid is refused with the code and the field path it says. */
#include "decode_support.h"

#include <dirent.h>
#include <stdio.h>

#define EXAMPLES TEST_DATA "/schemas/events/examples"
#define PATH_MAX_BYTES 1024

TestSuite(decode_examples, .init = open_decoder, .fini = close_decoder);

/* Every byte of a file; the caller frees. */
static char *read_all(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s cannot be read", path);
    fseek(file, 0, SEEK_END);
    *len = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*len + 1);
    cr_assert_eq(fread(bytes, 1, *len, file), *len, "%s", path);
    fclose(file);
    return bytes;
}

static enum fp_status decode_file(const char *directory, const char *name)
{
    char path[PATH_MAX_BYTES];
    size_t len;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    char *bytes = read_all(path, &len);
    enum fp_status status = decode_bytes(bytes, len, NULL, 0);
    free(bytes);
    return status;
}

static bool is_example(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcmp(name, "expected.json") != 0 &&
           (strcmp(dot, ".json") == 0 || strcmp(dot, ".bin") == 0);
}

static int count_examples(const char *directory)
{
    DIR *open = opendir(directory);
    int count = 0;
    cr_assert_not_null(open, "%s", directory);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        count += is_example(entry->d_name);
    closedir(open);
    return count;
}

static int check_valid(const char *directory)
{
    DIR *open = opendir(directory);
    int count = 0;
    cr_assert_not_null(open, "%s", directory);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
        if (!is_example(entry->d_name))
            continue;
        count++;
        cr_expect_eq(decode_file(directory, entry->d_name), FP_OK, "%s/%s: %s at '%s': %s",
                     directory, entry->d_name, err.code, err.where, err.what);
        cr_expect_neq(event.type, FP_EVENT_FOREIGN, "%s/%s", directory, entry->d_name);
    }
    closedir(open);
    return count;
}

static void copy_text(char *to, size_t size, struct fp_slice text)
{
    snprintf(to, size, "%.*s", (int)text.len, text.at);
}

static void check_one(const char *directory, const struct fp_json_node *nodes, uint32_t entry)
{
    char name[256], code[64], where[256];
    copy_text(name, sizeof name, nodes[entry].key);
    copy_text(code, sizeof code, nodes[fp_json_member(nodes, entry, "code")].text);
    copy_text(where, sizeof where, nodes[fp_json_member(nodes, entry, "where")].text);
    cr_expect_eq(decode_file(directory, name), FP_REJECT, "%s/%s was accepted", directory, name);
    cr_expect_str_eq(err.code, code, "%s/%s: %s (%s)", directory, name, err.code, err.what);
    cr_expect_str_eq(err.where, where, "%s/%s: at '%s'", directory, name, err.where);
}

/* Every line of expected.json has its file, and every file its line. */
static int check_invalid(const char *directory)
{
    char path[PATH_MAX_BYTES];
    size_t len;
    snprintf(path, sizeof path, "%s/expected.json", directory);
    char *text = read_all(path, &len);
    struct fp_json_reader *reader = fp_json_reader_new(NULL);
    const struct fp_json_node *nodes;
    uint32_t count;
    cr_assert_eq(fp_json_parse(reader, text, len, &nodes, &count, &err), FP_OK, "%s: %s", path,
                 err.what);
    for (uint32_t i = 1; i < nodes[0].next; i = nodes[i].next)
        check_one(directory, nodes, i);
    int entries = (int)nodes[0].count;
    cr_expect_eq(count_examples(directory), entries, "%s", path);
    fp_json_reader_free(reader);
    free(text);
    return entries;
}

Test(decode_examples, each_type)
{
    static const char *const types[] = {"touchpoint", "response", "invitation",
                                        "case",       "intervention", "erasure"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char directory[PATH_MAX_BYTES];
        snprintf(directory, sizeof directory, EXAMPLES "/%s/valid", types[i]);
        cr_expect_geq(check_valid(directory), 3, "%s", directory);
        snprintf(directory, sizeof directory, EXAMPLES "/%s/invalid", types[i]);
        cr_expect_geq(check_invalid(directory), 4, "%s", directory);
    }
}

Test(decode_examples, bytes_that_no_schema_sees)
{
    cr_expect_geq(check_valid(EXAMPLES "/bytes/valid"), 5);
    cr_expect_geq(check_invalid(EXAMPLES "/bytes"), 20);
}

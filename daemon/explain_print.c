/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of an explanation: headings and indented lines, or members of one JSON object. */
#include "daemon/explain.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

static void put_string(FILE *out, const char *text, size_t len)
{
    char *copy = malloc(len + 1), *escaped = malloc(6 * len + 1);
    if (copy == NULL || escaped == NULL)
        abort(); /* out of memory, as in model_arena.c */
    memcpy(copy, text, len);
    copy[len] = '\0';
    fp_log_escape(escaped, 6 * len + 1, copy);
    fprintf(out, "\"%s\"", escaped);
    free(escaped);
    free(copy);
}

static void put_indented(FILE *out, const char *text)
{
    fputs("  ", out);
    for (; *text; text++) {
        if (*text == '\n')
            fputs(text[1] ? "\n  " : "", out);
        else
            fputc(iscntrl((unsigned char)*text) ? '?' : *text, out);
    }
    fputc('\n', out);
}

static void begin(struct fp_explain *e, const char *key, const char *title)
{
    if (e->json)
        fprintf(e->out, "%s\"%s\": ", e->parts == 0 ? "{" : ",\n ", key);
    else
        fprintf(e->out, "%s%s\n", e->parts == 0 ? "" : "\n", title);
    e->parts++;
}

void fp_part_json(struct fp_explain *e, const char *key, const char *title, const char *json,
                  const char *text)
{
    begin(e, key, title);
    if (e->json)
        fputs(*json ? json : "null", e->out);
    else
        put_indented(e->out, text);
}

void fp_part_text(struct fp_explain *e, const char *key, const char *title, const char *text)
{
    begin(e, key, title);
    if (e->json)
        put_string(e->out, text, strlen(text));
    else
        put_indented(e->out, text);
}

void fp_part_lines(struct fp_explain *e, const char *key, const char *title, const char *lines)
{
    begin(e, key, title);
    if (!e->json) {
        put_indented(e->out, lines);
        return;
    }
    fputc('[', e->out);
    for (const char *at = lines; *at;) {
        size_t len = strcspn(at, "\n");
        if (len > 0) {
            fputs(at == lines ? "" : ", ", e->out);
            put_string(e->out, at, len);
        }
        at += len + (at[len] == '\n');
    }
    fputc(']', e->out);
}

FILE *fp_part_open(struct fp_explain *e)
{
    e->draft.out = open_memstream(&e->draft.text, &e->draft.len);
    if (e->draft.out == NULL)
        abort();
    return e->draft.out;
}

void fp_part_close(struct fp_explain *e, const char *key, const char *title)
{
    if (fclose(e->draft.out) != 0)
        abort();
    fp_part_text(e, key, title, e->draft.text);
    free(e->draft.text);
}

void fp_part_end(struct fp_explain *e)
{
    if (e->json && e->parts > 0)
        fputs("}\n", e->out);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration file: UTF-8, one `name = value` a line, comments on lines that begin with #.
 *
 * Nothing is cut silently: " #" inside a bare value is a problem, not a comment, since a password
 * may hold it; in double quotes it is taken as it is. */
#include "daemon/options_parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (1 << 20)

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

/* Takes the quotes off in place; false when they do not match. */
static bool unquote(char *text)
{
    char *to = text;
    for (const char *from = text + 1; *from; from++) {
        if (*from == '"')
            return from[1] == '\0' && (*to = '\0', true);
        if (*from == '\\' && (from[1] == '"' || from[1] == '\\'))
            from++;
        *to++ = *from;
    }
    return false;
}

static void take_line(struct fp_option_parser *parser, const char *source, char *line)
{
    char *text = trim(line);
    if (*text == '\0' || *text == '#')
        return;
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        fp_option_problem(parser, source,
                          "\"%.40s\" is not `name = value`; a comment begins with #", text);
        return;
    }
    *equals = '\0';
    const char *name = trim(text);
    char *value = trim(equals + 1);
    if (*value == '"') {
        if (!unquote(value)) {
            fp_option_problem(parser, source,
                              "%s: the quotes do not match; inside quotes write \\\" and \\\\",
                              name);
            return;
        }
    } else if (strstr(value, " #") != NULL) {
        fp_option_problem(parser, source,
                          "%s: has \" #\"; put a comment on a line of its own, or the value "
                          "in double quotes",
                          name);
        return;
    }
    fp_option_take(parser, FP_FROM_FILE, source, name, value);
}

/* The line on which a name was given before in this file, 0 when it was not. */
static unsigned first_line_of(const char *text, const char *line, size_t *name_len)
{
    const char *name = line + strspn(line, " \t");
    size_t len = strcspn(name, " \t=\n");
    unsigned number = 1;
    *name_len = len;
    if (len == 0 || *name == '#' || name[strspn(name + len, " \t") + len] != '=')
        return 0;
    for (const char *at = text; at < line; number++) {
        const char *other = at + strspn(at, " \t");
        if (strncmp(other, name, len) == 0 && other[len + strspn(other + len, " \t")] == '=' &&
            strchr(" \t=", other[len]) != NULL)
            return number;
        at += strcspn(at, "\n") + 1;
    }
    return 0;
}

static void take_file_text(struct fp_option_parser *parser, const char *path, char *text)
{
    unsigned number = 1;
    char source[FP_SOURCE_MAX];
    char *original = strdup(text);
    if (original == NULL) {
        parser->options->own->no_memory = true;
        return;
    }
    for (char *line = text; line != NULL && *line; number++) {
        char *end = strchr(line, '\n');
        size_t name_len;
        const char *same = original + (line - text);
        unsigned first = first_line_of(original, same, &name_len);
        if (end != NULL)
            *end = '\0';
        snprintf(source, sizeof source, "%.250s:%u", path, number);
        if (first > 0)
            fp_option_problem(parser, source, "%.*s: given already on line %u; remove one of them",
                              (int)name_len, same + strspn(same, " \t"), first);
        else
            take_line(parser, source, line);
        line = end ? end + 1 : NULL;
    }
    free(original);
}

void fp_option_take_file(struct fp_option_parser *parser, const char *path, const char *named_by)
{
    FILE *file = fopen(path, "re");
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t len = file && text ? fread(text, 1, FILE_BYTES_MAX + 1, file) : 0;
    if (text == NULL) {
        parser->options->own->no_memory = true;
    } else if (file == NULL || ferror(file)) {
        fp_option_problem(parser, named_by, "cannot read the configuration file \"%s\": %s", path,
                          strerror(errno));
    } else if (len > FILE_BYTES_MAX) {
        fp_option_problem(parser, named_by,
                          "\"%s\" is larger than 1 MiB; is it a configuration file?", path);
    } else if (memchr(text, '\0', len) != NULL) {
        fp_option_problem(parser, named_by, "\"%s\" holds a NUL byte; write it as UTF-8 text",
                          path);
    } else {
        text[len] = '\0';
        bool mark = strncmp(text, "\xEF\xBB\xBF", 3) == 0; /* byte order mark */
        take_file_text(parser, path, text + (mark ? 3 : 0));
        parser->options->config = fp_options_keep(parser->options, path);
        parser->options->own->source[fp_option_find("config") - fp_option_table] =
            fp_options_keep(parser->options, named_by);
    }
    if (text != NULL)
        explicit_bzero(text, FILE_BYTES_MAX + 1);
    free(text);
    if (file != NULL)
        fclose(file);
}

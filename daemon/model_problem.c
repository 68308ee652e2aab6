/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model_build.h"
#include "daemon/options.h" /* fp_edit_distance */

static struct fp_problem *next_problem(struct fp_problems *problems)
{
    if (problems->count == FP_PROBLEMS_MAX)
        return NULL;
    if (problems->count == problems->capacity) {
        int capacity = problems->capacity ? problems->capacity * 2 : 16;
        struct fp_problem *at = realloc(problems->at, (size_t)capacity * sizeof *at);
        if (at == NULL)
            abort(); /* as in model_arena.c */
        problems->at = at;
        problems->capacity = capacity;
    }
    return &problems->at[problems->count++];
}

/* Cuts between characters, replaces control characters. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] && i + 1 < size; i++)
        to[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? ' ' : from[i];
    while (from[i] && i > 0 && ((unsigned char)from[i] & 0xC0) == 0x80)
        i--;
    to[i] = '\0';
}

static void add(struct fp_problems *problems, const char *path, const char *hint, const char *what)
{
    struct fp_problem *problem = next_problem(problems);
    if (problem == NULL)
        return;
    if (problems->count == FP_PROBLEMS_MAX) { /* the last place says that there are more */
        path = "$";
        what = "there are more problems than can be listed";
        hint = "mend these first";
    }
    copy_text(problem->path, sizeof problem->path, path);
    copy_text(problem->what, sizeof problem->what, what);
    copy_text(problem->hint, sizeof problem->hint, hint);
}

void fp_problem_add(struct fp_problems *problems, const char *path, const char *hint,
                    const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    add(problems, path, hint, what);
}

void fp_problem_at(struct fp_build *build, const struct fp_node *node, const char *key,
                   const char *hint, const char *format, ...)
{
    char path[256], what[512];
    fp_node_path(node, path, sizeof path);
    size_t used = strlen(path);
    if (key)
        snprintf(path + used, sizeof path - used, ".%s", key);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    add(build->problems, path, hint, what);
}

void fp_problems_free(struct fp_problems *problems)
{
    free(problems->at);
    *problems = (struct fp_problems){0};
}

void fp_nearest_offer(struct fp_nearest *nearest, const char *name)
{
    size_t len = strlen(nearest->wanted), name_len = strlen(name);
    if (nearest->name == NULL) { /* must be below this: a third of the letters, 1 to 4 */
        size_t third = (len + 1) / 3;
        nearest->distance = third < 1 ? 2 : third > 4 ? 5 : third + 1;
    }
    if (len + nearest->distance <= name_len || name_len + nearest->distance <= len)
        return;
    size_t distance = fp_edit_distance(nearest->wanted, name, nearest->distance);
    if (distance < nearest->distance) {
        nearest->name = name;
        nearest->distance = distance;
    }
}

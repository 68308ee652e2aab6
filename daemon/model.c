/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life of a model: read, checked, shared, freed. The steps are listed in model_build.h. */
#include "daemon/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model_build.h"

#define MODEL_BYTES_MAX ((size_t)8 * 1024 * 1024)

static void report_syntax(struct fp_problems *problems, const char *text, size_t len,
                          const struct fp_node_error *error)
{
    int line = 1, column = 1;
    for (size_t i = 0; i < error->at && i < len; i++) {
        bool first_byte = ((unsigned char)text[i] & 0xC0) != 0x80;
        column = text[i] == '\n' ? 1 : column + first_byte;
        line += text[i] == '\n';
    }
    if (error->at)
        fp_problem_add(problems, "$", "", "line %d, column %d: %s", line, column, error->what);
    else
        fp_problem_add(problems, "$", "", "%s", error->what);
}

static void report_double_keys(struct fp_build *build, const struct fp_node_error *error)
{
    for (int i = 0; i < error->double_key_count; i++)
        fp_problem_at(build, error->double_keys[i], NULL, "keep one of them",
                      "the key \"%.80s\" comes twice in this object", error->double_keys[i]->key);
}

/* The model lives in the arena it owns; so it is the last to go. */
static struct fp_model *new_model(void)
{
    struct fp_arena arena = {0};
    struct fp_model *model = fp_arena_alloc(&arena, 1, sizeof *model);
    model->own = fp_arena_alloc(&arena, 1, sizeof *model->own);
    model->own->arena = arena;
    atomic_init(&model->own->references, 1);
    return model;
}

static void free_model(struct fp_model *model)
{
    struct fp_arena arena = model->own->arena;
    fp_timezone_free(model->zone);
    fp_arena_free(&arena);
}

static void read_document(struct fp_build *build, const struct fp_node_error *error)
{
    report_double_keys(build, error);
    fp_model_check_shape(build);
    if (build->root->type != FP_NODE_OBJECT)
        return;
    fp_model_declare(build);
    fp_model_read_parts(build);
    fp_model_read_journeys(build);
    fp_model_read_kpis(build);
    fp_model_read_plan(build);
}

enum fp_status fp_model_parse(const char *text, size_t len, struct fp_model **model,
                              struct fp_problems *problems)
{
    *model = NULL;
    int before = problems->count;
    if (len > MODEL_BYTES_MAX) {
        fp_problem_add(problems, "$", "", "%zu bytes are more than a model may have (%zu)", len,
                       MODEL_BYTES_MAX);
        return FP_REJECT;
    }
    struct fp_node_error error;
    struct fp_model *made = new_model();
    struct fp_build build = {.model = made, .arena = &made->own->arena, .problems = problems};
    build.root = fp_node_parse(build.arena, text, len, &error);
    if (build.root)
        read_document(&build, &error);
    else
        report_syntax(problems, text, len, &error);
    if (problems->count > before) {
        free_model(made);
        return FP_REJECT;
    }
    fp_model_hash(&build);
    fp_model_list_kpis(made);
    *model = made;
    return FP_OK;
}

static enum fp_status unreadable(struct fp_problems *problems, const char *path, const char *why)
{
    fp_problem_add(problems, "$", "check the path and its permissions", "cannot read %.150s: %s",
                   path, why);
    return FP_REJECT;
}

enum fp_status fp_model_load(const char *path, struct fp_model **model,
                             struct fp_problems *problems)
{
    *model = NULL;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return unreadable(problems, path, strerror(errno));
    char *text = malloc(MODEL_BYTES_MAX + 2); /* one more than allowed shows that it is too long */
    size_t len = text ? fread(text, 1, MODEL_BYTES_MAX + 1, file) : 0;
    int failed = ferror(file) ? errno : text == NULL ? ENOMEM : 0;
    fclose(file);
    enum fp_status status = failed ? unreadable(problems, path, strerror(failed))
                                   : fp_model_parse(text, len, model, problems);
    free(text);
    return status;
}

struct fp_model *fp_model_retain(struct fp_model *model)
{
    atomic_fetch_add_explicit(&model->own->references, 1, memory_order_relaxed);
    return model;
}

void fp_model_release(struct fp_model *model)
{
    if (model && atomic_fetch_sub_explicit(&model->own->references, 1, memory_order_acq_rel) == 1)
        free_model(model);
}

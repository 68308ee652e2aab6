/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One alert explained from a database: what test_watch_explain.py judges.
 *
 *   explain_alert <model> <conninfo> <newest day> name=value …
 *
 * Names: kind, level, kpi (id; "*" all), unit (id), unit_name, start, opened, until, closed, how,
 * verdict, posterior, worse, size, low, high, n. Prints one line each: contributors, drivers, mix,
 * within, needed, text. Installs the model, as `flightpath run` does. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/watch_explain.h"

#define DEADLINE_MS 20000

static int fail(const struct fp_error *err)
{
    fprintf(stderr, "%s: %s: %s\n", err->code, err->where, err->what);
    return 1;
}

static const struct whole {
    const char *name;
    size_t at;
} wholes[] = {
    {"level", offsetof(struct fp_alert, level)}, {"unit", offsetof(struct fp_alert, unit)},
    {"start", offsetof(struct fp_alert, start)}, {"opened", offsetof(struct fp_alert, opened)},
    {"until", offsetof(struct fp_alert, until)}, {"closed", offsetof(struct fp_alert, closed)}};
static const struct whole reals[] = {{"posterior", offsetof(struct fp_alert, posterior)},
                                     {"size", offsetof(struct fp_alert, size)},
                                     {"low", offsetof(struct fp_alert, low)},
                                     {"high", offsetof(struct fp_alert, high)},
                                     {"n", offsetof(struct fp_alert, n)}};
static const struct whole texts[] = {{"how", offsetof(struct fp_alert, how)},
                                     {"verdict", offsetof(struct fp_alert, verdict)},
                                     {"unit_name", offsetof(struct fp_alert, unit_name)}};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void *member(struct fp_alert *alert, const struct whole *list, size_t count,
                    const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return (char *)alert + list[i].at;
    return NULL;
}

static bool take(struct fp_alert *alert, const struct fp_model *model, char *argument)
{
    char *value = strchr(argument, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    void *at;
    if ((at = member(alert, wholes, COUNT(wholes), argument)) != NULL)
        *(int32_t *)at = atoi(value);
    else if ((at = member(alert, reals, COUNT(reals), argument)) != NULL)
        *(double *)at = strtod(value, NULL);
    else if ((at = member(alert, texts, COUNT(texts), argument)) != NULL)
        *(const char **)at = value;
    else if (strcmp(argument, "kpi") == 0)
        alert->kpi = strcmp(value, "*") == 0
                         ? FP_NONE
                         : fp_model_find(model, FP_KIND_KPI, fp_slice_of(value));
    else if (strcmp(argument, "kind") == 0)
        alert->kind = (enum fp_alert_kind)atoi(value);
    else if (strcmp(argument, "worse") == 0)
        alert->worse = atoi(value) != 0;
    else
        return false;
    return true;
}

static int print(struct fp_explanation *e)
{
    printf("%s\n%s\n%.17g\n%.17g\n%s\n%s\n", e->contributors, e->drivers, e->mix, e->within,
           e->needed, e->text);
    fp_explanation_free(e);
    return 0;
}

int main(int argc, char **argv)
{
    struct fp_model *model = NULL;
    struct fp_problems problems = {0};
    struct fp_error err = {0};
    struct fp_pg *pg = NULL;
    struct fp_binding *binding = NULL;
    struct fp_explanation explanation;
    if (argc < 4 || fp_model_load(argv[1], &model, &problems) != FP_OK)
        return 2;
    struct fp_alert alert = {.unit = FP_ALL_UNITS,
                             .unit_name = "",
                             .until = FP_NO_DAY,
                             .closed = FP_NO_DAY,
                             .how = "",
                             .verdict = "",
                             .low = NAN,
                             .high = NAN,
                             .n = NAN};
    for (int i = 4; i < argc; i++)
        if (!take(&alert, model, argv[i])) {
            fp_model_release(model);
            return 2;
        }
    alert.sign = alert.size < 0 ? -1 : 1;
    struct fp_registry *registry = fp_registry_new();
    int code = 1;
    if (fp_pg_open(argv[2], NULL, "explain_alert", DEADLINE_MS, &pg, &err) != FP_OK ||
        fp_binding_new(registry, pg, model, &binding, &err) != FP_OK ||
        fp_watch_explain(pg, binding, &alert, atoi(argv[3]), &explanation, &err) != FP_OK)
        code = fail(&err);
    else
        code = print(&explanation);
    fp_binding_release(binding);
    fp_registry_free(registry);
    fp_model_release(model);
    fp_pg_close(pg);
    return code;
}

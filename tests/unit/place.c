/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where messages belong and which KPIs look there. */
#include <criterion/criterion.h>
#include <string.h>

#include "daemon/model.h"

static const char text[] =
    "{\"model\":\"flightpath/1\",\"programme\":{\"id\":\"p\",\"time_zone\":\"UTC\"},"
    "\"scales\":{\"five\":{\"min\":1,\"max\":5}},"
    "\"measures\":{\"wait_s\":{\"min\":0,\"max\":9}},"
    "\"touchpoints\":[{\"id\":\"visit\"},{\"id\":\"login\"},{\"id\":\"call\"},{\"id\":\"shop\"},"
    " {\"id\":\"laptop\"}],"
    "\"journeys\":["
    " {\"id\":\"open\",\"audience\":\"customer\",\"detailed\":["
    "  {\"id\":\"identify\",\"touchpoints\":[\"visit\",\"call\"]},"
    "  {\"id\":\"use\",\"touchpoints\":[\"login\",\"call\"]}]},"
    " {\"id\":\"buy\",\"audience\":\"customer\",\"detailed\":["
    "  {\"id\":\"choose\",\"touchpoints\":[\"shop\",\"login\"]}]},"
    " {\"id\":\"work\",\"audience\":\"employee\",\"detailed\":["
    "  {\"id\":\"applying\",\"tenure\":\"applicant\"},"
    "  {\"id\":\"onboard\",\"touchpoints\":[\"laptop\"]},"
    "  {\"id\":\"settling\",\"tenure\":{\"max_months\":3}},"
    "  {\"id\":\"first_year\",\"tenure\":{\"max_months\":12}},"
    "  {\"id\":\"staying\",\"tenure\":{\"min_months\":12}}]}],"
    "\"items\":["
    " {\"id\":\"happy\",\"kind\":\"outcome\",\"metric\":\"mean\",\"scale\":\"five\"},"
    " {\"id\":\"clear\",\"kind\":\"driver\",\"metric\":\"mean\",\"scale\":\"five\",\"touchpoint\":"
    "\"visit\"}],"
    "\"kpis\":["
    " {\"id\":\"all\",\"role\":\"output\",\"source\":{\"item\":\"happy\"}},"
    " {\"id\":\"open\",\"role\":\"output\",\"source\":{\"item\":\"happy\"},\"journey\":\"open\"},"
    " {\"id\":\"identify\",\"role\":\"output\",\"source\":{\"item\":\"happy\"},\"journey\":"
    "\"identify\"},"
    " {\"id\":\"use\",\"role\":\"output\",\"source\":{\"item\":\"happy\"},\"journey\":\"use\"},"
    " {\"id\":\"at_visit\",\"role\":\"output\",\"source\":{\"item\":\"happy\"},\"touchpoint\":"
    "\"visit\"},"
    " {\"id\":\"staff\",\"role\":\"output\",\"source\":{\"item\":\"happy\"},\"journey\":\"work\"},"
    " {\"id\":\"settling\",\"role\":\"output\",\"source\":{\"item\":\"happy\"},\"journey\":"
    "\"settling\"},"
    " {\"id\":\"inside\",\"role\":\"output\",\"source\":{\"item\":\"happy\"},\"journey\":\"open\","
    "  \"audience\":\"internal\"},"
    " {\"id\":\"clear_identify\",\"role\":\"output\",\"source\":{\"item\":\"clear\"},\"journey\":"
    "\"identify\"},"
    " {\"id\":\"wait_visit\",\"role\":\"input\",\"source\":{\"measure\":\"wait_s\"},\"touchpoint\":"
    "\"visit\"},"
    " {\"id\":\"wait_any\",\"role\":\"input\",\"source\":{\"measure\":\"wait_s\"}},"
    " {\"id\":\"fail_open\",\"role\":\"input\",\"source\":{\"outcome\":\"failed\"},\"journey\":"
    "\"open\"},"
    " {\"id\":\"fail_work\",\"role\":\"input\",\"source\":{\"outcome\":\"failed\"},\"journey\":"
    "\"work\"}"
    "]}";

static struct fp_model *model;

static void setup(void)
{
    struct fp_problems problems = {0};
    enum fp_status status = fp_model_parse(text, sizeof text - 1, &model, &problems);
    cr_assert_eq(status, FP_OK, "%s: %s", problems.count ? problems.at[0].path : "",
                 problems.count ? problems.at[0].what : "");
}

static void teardown(void)
{
    fp_model_release(model);
}

TestSuite(place, .init = setup, .fini = teardown);

static int journey(const char *id)
{
    return fp_model_find(model, FP_KIND_JOURNEY, fp_slice_of(id));
}

static int touchpoint(const char *id)
{
    return fp_model_find(model, FP_KIND_TOUCHPOINT, fp_slice_of(id));
}

static const struct fp_kpi *kpi(const char *id)
{
    int found = fp_model_find(model, FP_KIND_KPI, fp_slice_of(id));
    cr_assert_neq(found, FP_NONE, "%s", id);
    return &model->kpis[found];
}

static struct fp_place place(enum fp_event_type type, enum fp_audience audience,
                             const char *at_journey, const char *at_touchpoint, int32_t tenure)
{
    struct fp_event event = {.type = type,
                             .audience = audience,
                             .journey = fp_slice_of(at_journey),
                             .touchpoint = fp_slice_of(at_touchpoint),
                             .tenure_months = tenure};
    return fp_model_place(model, &event);
}

static struct fp_place customer(const char *at_journey, const char *at_touchpoint)
{
    return place(FP_EVENT_RESPONSE, FP_AUDIENCE_CUSTOMER, at_journey, at_touchpoint,
                 FP_TENURE_ABSENT);
}

static struct fp_place employee(const char *at_journey, const char *at_touchpoint, int32_t tenure)
{
    return place(FP_EVENT_RESPONSE, FP_AUDIENCE_EMPLOYEE, at_journey, at_touchpoint, tenure);
}

static void expect_place(struct fp_place found, const char *main, const char *detailed,
                         const char *at_touchpoint)
{
    cr_expect_eq(found.journey, main ? journey(main) : FP_NONE, "journey %d, not %s", found.journey,
                 main ? main : "none");
    cr_expect_eq(found.detailed, detailed ? journey(detailed) : FP_NONE, "detailed %d, not %s",
                 found.detailed, detailed ? detailed : "none");
    cr_expect_eq(found.touchpoint, at_touchpoint ? touchpoint(at_touchpoint) : FP_NONE);
}

Test(place, journeys)
{
    expect_place(customer("open", NULL), "open", NULL, NULL);
    expect_place(customer("identify", NULL), "open", "identify", NULL);
    expect_place(customer("open", "visit"), "open", "identify", "visit");
    expect_place(customer("use", "visit"), "open", "use", "visit"); /* as named */
    expect_place(customer("open", "call"), "open", NULL, "call");   /* in two: neither */
    expect_place(customer("buy", "login"), "buy", "choose", "login");
    expect_place(customer("open", "shop"), "open", NULL, "shop");
}

Test(place, journey_from_touchpoint)
{
    expect_place(customer(NULL, "visit"), "open", "identify", "visit");
    expect_place(customer(NULL, "call"), "open", NULL, "call"); /* one main journey, two details */
    expect_place(customer(NULL, "login"), NULL, NULL, "login"); /* two main journeys */
    expect_place(customer(NULL, "nowhere"), NULL, NULL, NULL);
    expect_place(customer("", "visit"), "open", "identify", "visit");
    expect_place(customer("unheard_of", "visit"), NULL, NULL, "visit"); /* named: not guessed */
    expect_place(customer(NULL, NULL), NULL, NULL, NULL);
}

Test(place, tenure)
{
    expect_place(employee("work", NULL, FP_TENURE_APPLICANT), "work", "applying", NULL);
    expect_place(employee("work", NULL, 0), "work", "settling", NULL);
    expect_place(employee("work", NULL, 3), "work", "settling", NULL);
    expect_place(employee("work", NULL, 4), "work", "first_year", NULL);
    expect_place(employee("work", NULL, 12), "work", "first_year", NULL);
    expect_place(employee("work", NULL, 13), "work", "staying", NULL);
    expect_place(employee("work", NULL, 400), "work", "staying", NULL);
    expect_place(employee("work", NULL, FP_TENURE_ABSENT), "work", NULL, NULL);
    expect_place(employee("staying", NULL, 1), "work", "staying", NULL); /* as named */
    expect_place(employee("work", "laptop", 5), "work", "onboard", "laptop");
    expect_place(employee(NULL, "laptop", 5), "work", "onboard", "laptop");
    expect_place(employee("work", "visit", 5), "work", "first_year", "visit");
    /* only employees are placed by tenure */
    expect_place(place(FP_EVENT_RESPONSE, FP_AUDIENCE_INTERNAL, "work", NULL, 5), "work", NULL,
                 NULL);
    expect_place(place(FP_EVENT_INVITATION, FP_AUDIENCE_EMPLOYEE, "work", NULL, 5), "work", NULL,
                 NULL);
}

Test(place, audience)
{
    cr_expect_eq(customer("work", NULL).audience, FP_AUDIENCE_CUSTOMER);
    cr_expect_eq(employee("open", NULL, 1).audience, FP_AUDIENCE_EMPLOYEE);
    struct fp_place event =
        place(FP_EVENT_TOUCHPOINT, FP_AUDIENCE_CUSTOMER, "work", "laptop", FP_TENURE_ABSENT);
    cr_expect_eq(event.audience, FP_AUDIENCE_EMPLOYEE);
    event = place(FP_EVENT_TOUCHPOINT, FP_AUDIENCE_CUSTOMER, NULL, "login", FP_TENURE_ABSENT);
    cr_expect_eq(event.audience, FP_AUDIENCE_CUSTOMER);
}

static void expect_covers(const char *id, struct fp_place at, bool covers)
{
    cr_expect_eq(fp_kpi_covers(model, kpi(id), &at), covers, "%s", id);
}

Test(place, covers_by_journey)
{
    expect_covers("all", customer(NULL, "login"), true);
    expect_covers("all", customer("unheard_of", NULL), true);
    expect_covers("open", customer("open", NULL), true);
    expect_covers("open", customer("identify", NULL), true);
    expect_covers("open", customer(NULL, "visit"), true);
    expect_covers("open", customer("buy", "login"), false);
    expect_covers("open", customer(NULL, "login"), false);
    expect_covers("identify", customer("open", NULL), false);
    expect_covers("identify", customer("identify", NULL), true);
    expect_covers("identify", customer("open", "visit"), true);
    expect_covers("identify", customer("use", "visit"), true); /* by its touchpoint */
    expect_covers("identify", customer("open", "call"), true); /* both hold it */
    expect_covers("use", customer("open", "call"), true);
    expect_covers("use", customer("buy", "login"), false);
}

Test(place, covers_by_touchpoint)
{
    expect_covers("at_visit", customer("open", "visit"), true);
    expect_covers("at_visit", customer("buy", "visit"), true);
    expect_covers("at_visit", customer("open", "login"), false);
    expect_covers("at_visit", customer("open", NULL), false);
}

Test(place, covers_by_audience)
{
    struct fp_place inside = place(FP_EVENT_RESPONSE, FP_AUDIENCE_INTERNAL, "open", "visit", -1);
    expect_covers("all", inside, false);
    expect_covers("open", inside, false);
    expect_covers("at_visit", inside, false);
    expect_covers("inside", inside, true);
    expect_covers("inside", customer("open", "visit"), false);
    expect_covers("open", employee("open", NULL, 1), false);
    expect_covers("staff", place(FP_EVENT_RESPONSE, FP_AUDIENCE_INTERNAL, "work", NULL, 1), false);
    expect_covers("staff", employee("work", NULL, -1), true);
    expect_covers("all", employee("work", NULL, 1), false);
}

Test(place, covers_by_tenure)
{
    expect_covers("settling", employee("work", NULL, 3), true);
    expect_covers("settling", employee("work", NULL, 4), false);
    expect_covers("settling", employee("work", NULL, FP_TENURE_APPLICANT), false);
    expect_covers("settling", employee("settling", NULL, 40), true);
}

Test(place, items_with_a_touchpoint_of_their_own)
{
    struct fp_place at = customer("open", "login"); /* asked after the login, about the visit */
    at.touchpoint = model->items[kpi("clear_identify")->item].touchpoint;
    expect_covers("clear_identify", at, true);
    struct fp_place elsewhere = customer("buy", "shop");
    elsewhere.touchpoint = at.touchpoint;
    expect_covers("clear_identify", elsewhere, false);
}

Test(place, covers_touchpoint_events)
{
    struct fp_place visit = place(FP_EVENT_TOUCHPOINT, 0, "open", "visit", FP_TENURE_ABSENT);
    expect_covers("wait_visit", visit, true);
    expect_covers("wait_any", visit, true);
    expect_covers("fail_open", visit, true);
    expect_covers("fail_work", visit, false);
    expect_covers("fail_work", place(FP_EVENT_TOUCHPOINT, 0, "work", NULL, FP_TENURE_ABSENT), true);
    expect_covers("wait_any", place(FP_EVENT_TOUCHPOINT, 0, "work", "laptop", FP_TENURE_ABSENT),
                  true);
}

static void expect_list(const int *list, int count, const char *const *ids)
{
    int expected = 0;
    for (; ids[expected]; expected++)
        if (expected < count)
            cr_expect_str_eq(model->kpis[list[expected]].id, ids[expected]);
    cr_expect_eq(count, expected);
}

Test(place, lists)
{
    int count;
    const int *list =
        fp_model_item_kpis(model, fp_model_find(model, FP_KIND_ITEM, fp_slice_of("happy")), &count);
    expect_list(list, count,
                (const char *const[]){"all", "open", "identify", "use", "at_visit", "staff",
                                      "settling", "inside", NULL});
    list =
        fp_model_item_kpis(model, fp_model_find(model, FP_KIND_ITEM, fp_slice_of("clear")), &count);
    expect_list(list, count, (const char *const[]){"clear_identify", NULL});
    list = fp_model_touchpoint_kpis(model, touchpoint("visit"), &count);
    expect_list(list, count,
                (const char *const[]){"wait_visit", "wait_any", "fail_open", "fail_work", NULL});
    list = fp_model_touchpoint_kpis(model, touchpoint("laptop"), &count);
    expect_list(list, count, (const char *const[]){"wait_any", "fail_open", "fail_work", NULL});
    list = fp_model_touchpoint_kpis(model, FP_NONE, &count);
    expect_list(list, count, (const char *const[]){"wait_any", "fail_open", "fail_work", NULL});
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int reader = -1;

/* Standard error becomes a pipe that does not block its reader. */
static void capture(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    fcntl(reader, F_SETFL, O_NONBLOCK);
}

static const char *captured(void)
{
    static char text[1 << 17];
    ssize_t len = read(reader, text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static size_t lines_in(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

Test(log, a_line_is_one_object)
{
    capture();
    fp_log(FP_LOG_WARN, "some_event", "disk %s at %d %%", "sda", 93);
    const char *text = captured();
    int year, month, day, hour, minute, second, ms, used = 0;
    cr_assert_eq(sscanf(text, "{\"time\":\"%4d-%2d-%2dT%2d:%2d:%2d.%3dZ\",%n", &year, &month, &day,
                        &hour, &minute, &second, &ms, &used),
                 7, "%s", text);
    cr_assert_geq(year, 2024);
    cr_assert_str_eq(text + used, "\"level\":\"warn\",\"event\":\"some_event\","
                                  "\"msg\":\"disk sda at 93 %\"}\n");
}

Test(log, levels)
{
    enum fp_log_level level;
    capture();
    fp_log(FP_LOG_DEBUG, "a", "not by default");
    cr_assert_str_empty(captured());
    fp_log_level_set(FP_LOG_ERROR);
    fp_log(FP_LOG_WARN, "a", "not any more");
    cr_assert_str_empty(captured());
    fp_log(FP_LOG_ERROR, "a", "shown");
    cr_assert_eq(lines_in(captured()), 1);
    cr_assert(fp_log_level_parse("debug", &level) && level == FP_LOG_DEBUG);
    cr_assert_not(fp_log_level_parse("loud", &level));
    cr_assert_not(fp_log_level_parse("", &level));
}

Test(log, escapes)
{
    static const char *const pairs[][2] = {
        {"plain ü \xF0\x9F\x99\x82", "plain ü \xF0\x9F\x99\x82"},
        {"a\"b\\c", "a\\\"b\\\\c"},
        {"line\nend\ttab\x1b[31m\x7f", "line\\nend\\u0009tab\\u001b[31m\\u007f"},
        {"\x80", "\\ufffd"},
        {"a\xC3", "a\\ufffd"},
        {"\xC0\xAF", "\\ufffd\\ufffd"},            /* overlong */
        {"\xED\xA0\x80", "\\ufffd\\ufffd\\ufffd"}, /* surrogate */
        {"\xF4\x90\x80\x80x", "\\ufffd\\ufffd\\ufffd\\ufffdx"},
        {"\xE2\x82", "\\ufffd\\ufffd"},
        {"", ""}};
    char out[128];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t len = fp_log_escape(out, sizeof out, pairs[i][0]);
        cr_assert_str_eq(out, pairs[i][1]);
        cr_assert_eq(len, strlen(out));
    }
}

Test(log, cut_between_characters)
{
    char out[16];
    cr_assert_eq(fp_log_escape(out, 4, "aaü"), 2);
    cr_assert_str_eq(out, "aa");
    cr_assert_eq(fp_log_escape(out, 8, "ab\x01z"), 2, "half an escape is no escape");
    cr_assert_eq(fp_log_escape(out, 1, "abc"), 0);
    cr_assert_str_eq(out, "");
    cr_assert_eq(fp_log_escape(out, 4, "abc"), 3);
}

Test(log, long_messages_stay_one_line)
{
    static char message[20000];
    memset(message, '"', sizeof message - 1);
    capture();
    fp_log(FP_LOG_INFO, "long", "%s", message);
    const char *text = captured();
    cr_assert_leq(strlen(text), 4096, "one write of at most PIPE_BUF bytes");
    cr_assert_eq(lines_in(text), 1);
    cr_assert(strstr(text, "\"}\n") == text + strlen(text) - 3);
}

Test(log, limit_of_one_event)
{
    static struct fp_log_limit limit;
    uint32_t suppressed;
    for (int i = 0; i < FP_LOG_LINES_MAX; i++)
        cr_assert(fp_log_admit(&limit, "a", 1000 + i, &suppressed));
    for (int i = 0; i < 7; i++)
        cr_assert_not(fp_log_admit(&limit, "a", 2000, &suppressed));
    cr_assert(fp_log_admit(&limit, "b", 2000, &suppressed), "another event is another limit");
    cr_assert_not(fp_log_admit(&limit, "a", 1000 + FP_LOG_WINDOW_MS - 1, &suppressed));
    cr_assert(fp_log_admit(&limit, "a", 1000 + FP_LOG_WINDOW_MS, &suppressed));
    cr_assert_eq(suppressed, 8);
    cr_assert(fp_log_admit(&limit, "a", 1000 + FP_LOG_WINDOW_MS, &suppressed));
    cr_assert_eq(suppressed, 0, "told once");
}

Test(log, more_events_than_slots)
{
    static struct fp_log_limit limit;
    uint32_t suppressed;
    char name[32];
    for (int i = 0; i < 3 * FP_LOG_EVENTS_MAX; i++) {
        snprintf(name, sizeof name, "event_%d", i);
        cr_assert(fp_log_admit(&limit, name, i, &suppressed));
    }
    for (int i = 1; i < FP_LOG_LINES_MAX; i++)
        cr_assert(fp_log_admit(&limit, name, 1000, &suppressed));
    cr_assert_not(fp_log_admit(&limit, name, 1000, &suppressed), "the newest is still limited");
}

Test(log, suppressed_lines_do_not_reach_the_pipe)
{
    capture();
    for (int i = 0; i < 50; i++)
        fp_log(FP_LOG_INFO, "storm", "line %d", i);
    cr_assert_eq(lines_in(captured()), FP_LOG_LINES_MAX);
}

Test(log, a_full_pipe_does_not_block, .timeout = 20)
{
    capture();
    char name[32];
    for (int i = 0; i < 2000; i++) { /* about 200 KiB into a pipe of 64 KiB */
        snprintf(name, sizeof name, "e%d", i);
        fp_log(FP_LOG_INFO, name, "%080d", i);
    }
    size_t shown = lines_in(captured());
    cr_assert_gt(shown, 10);
    cr_assert_lt(shown, 2000);
    fp_log(FP_LOG_INFO, "after", "there is room again");
    const char *text = captured();
    unsigned long long dropped = 0;
    const char *member = strstr(text, "\"dropped\":");
    cr_assert(member && sscanf(member, "\"dropped\":%llu", &dropped) == 1, "%s", text);
    cr_assert_eq(shown + dropped, 2000);
    fp_log(FP_LOG_INFO, "after", "told once");
    cr_assert_null(strstr(captured(), "dropped"));
}

Test(log, a_closed_pipe_is_no_end)
{
    signal(SIGPIPE, SIG_IGN);
    capture();
    close(reader);
    fp_log(FP_LOG_ERROR, "gone", "nobody reads");
    dup2(open("/dev/null", O_RDONLY), STDERR_FILENO);
    fp_log(FP_LOG_ERROR, "gone", "nothing to write to");
    capture();
    fp_log(FP_LOG_ERROR, "back", "again");
    cr_assert(strstr(captured(), "\"dropped\":2"));
}

static void *chatter(void *name)
{
    for (int i = 0; i < FP_LOG_LINES_MAX; i++)
        fp_log(FP_LOG_INFO, name, "%040d", i);
    return NULL;
}

Test(log, threads_do_not_mix_lines)
{
    static char names[8][8] = {"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"};
    pthread_t threads[8];
    capture();
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, chatter, names[i]), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    const char *text = captured();
    cr_assert_eq(lines_in(text), 8 * FP_LOG_LINES_MAX);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        cr_assert_eq(strncmp(line, "{\"time\":\"", 9), 0);
        cr_assert_eq(strchr(line, '\n')[-1], '}');
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* What is served for a path, and to whom, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "serve/address.h"
#include "serve/pages.h"
#include "tests/unit/sample.h"

static const struct page_options options = { .top = 3, .interval_s = 60 };

/* @count processes: 1, 2, 3, ... */
static struct latest *latest_of(int count)
{
	struct latest *latest = latest_new();
	struct report_header *header = sample_header();

	latest_set_header(latest, header);
	for (int pid = 1; pid <= count; pid++) {
		struct report *report = sample_top_report(100);

		report->pid = pid;
		latest_put(latest, report, header->targets->pdata[0]);
	}
	report_header_free(header);
	return latest;
}

static struct page asked(struct latest *latest, const char *path, const char *pid)
{
	struct page page = page_make(latest, &options, path, pid, g_get_monotonic_time());

	assert_non_null(page.body);
	assert_non_null(page.type);
	return page;
}

static void assert_status(struct latest *latest, const char *path, const char *pid,
			  unsigned int status)
{
	struct page page = asked(latest, path, pid);

	if (page.status != status)
		fail_msg("%s pid %s: %u: %s", path, pid ? pid : "-", page.status, page.body);
	page_clear(&page);
	assert_null(page.body);
}

static void pages_are_found_by_their_path_alone(void **state)
{
	static const char *const none[] = {
		"",	      "/metrics/",    "/Metrics", "//metrics", "/../etc/passwd",
		"/metrics\n", "/debug/pprof", "/api"
	};
	struct latest *latest = latest_of(2);
	size_t i;

	(void)state;
	assert_status(latest, "/", NULL, 200);
	assert_status(latest, "/metrics", NULL, 200);
	assert_status(latest, "/api/report", NULL, 200);
	assert_status(latest, "/debug/pprof/heap", NULL, 200);
	for (i = 0; i < G_N_ELEMENTS(none); i++)
		assert_status(latest, none[i], NULL, 404);
	latest_free(latest);
}

static void a_pid_is_read_strictly(void **state)
{
	static const char *const bad[] = { "",	 "x",	       "-1",
					   "0",	 "1x",	       "+1",
					   " 1", "2147483648", "99999999999999999999" };
	struct latest *latest = latest_of(2);
	size_t i;

	(void)state;
	assert_status(latest, "/debug/pprof/heap", "2", 200);
	assert_status(latest, "/debug/pprof/heap", "3", 404);
	assert_status(latest, "/api/report", "3", 404);
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		assert_status(latest, "/debug/pprof/heap", bad[i], 400);
		assert_status(latest, "/api/report", bad[i], 400);
	}
	/* Where it means nothing it does no harm. */
	assert_status(latest, "/metrics", "x", 200);
	latest_free(latest);
}

static json_t *report_json(struct latest *latest, const char *pid)
{
	struct page page = asked(latest, "/api/report", pid);
	json_t *object = json_loadb(page.body, page.size, JSON_REJECT_DUPLICATES, NULL);

	assert_int_equal(page.status, 200);
	assert_string_equal(page.type, "application/json");
	assert_non_null(object);
	page_clear(&page);
	return object;
}

static void the_report_is_one_object_of_those_that_json_writes(void **state)
{
	struct latest *latest = latest_of(3);
	json_t *object = report_json(latest, NULL), *reports, *first;

	(void)state;
	reports = json_object_get(object, "reports");
	assert_int_equal(json_array_size(reports), 3);
	first = json_array_get(reports, 0);
	assert_string_equal(json_string_value(json_object_get(first, "type")), "report");
	assert_int_equal(json_integer_value(json_object_get(first, "pid")), 1);
	/* As many sites as --top says, although the profile has all. */
	assert_int_equal(json_array_size(json_object_get(first, "sites")), 3);
	first = json_object_get(object, "header");
	assert_int_equal(json_array_size(json_object_get(first, "targets")), 3);
	json_decref(object);
	object = report_json(latest, "2");
	reports = json_object_get(object, "reports");
	assert_int_equal(json_array_size(reports), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(reports, 0), "pid")), 2);
	json_decref(object);
	latest_free(latest);
}

static unsigned int sites_in_metrics(struct latest *latest)
{
	struct page page = asked(latest, "/metrics", NULL);
	unsigned int count = 0;
	const char *c = page.body;

	for (; (c = strstr(c, "\npyleak_site_outstanding_bytes{")); c++)
		count++;
	page_clear(&page);
	return count;
}

static void metrics_stay_bounded_however_many_processes(void **state)
{
	struct latest *few = latest_of(5), *many = latest_of(700);

	(void)state;
	assert_int_equal(sites_in_metrics(few), 5 * 3);
	/* 1,000 for 700 processes: one each. */
	assert_int_equal(sites_in_metrics(many), 700);
	latest_free(few);
	latest_free(many);
}

static void without_reports_every_page_still_answers(void **state)
{
	struct latest *latest = latest_new();
	json_t *object;

	(void)state;
	assert_status(latest, "/metrics", NULL, 200);
	assert_status(latest, "/debug/pprof/heap", NULL, 200);
	assert_status(latest, "/debug/pprof/heap", "1", 404);
	object = report_json(latest, NULL);
	assert_int_equal(json_array_size(json_object_get(object, "reports")), 0);
	json_decref(object);
	latest_free(latest);
}

static unsigned int health_after(struct latest *latest, double seconds)
{
	struct page page = page_make(latest, &options, "/healthz", NULL,
				     g_get_monotonic_time() + (int64_t)(seconds * 1e6));
	unsigned int status = page.status;

	page_clear(&page);
	return status;
}

static void health_is_a_session_that_goes_on(void **state)
{
	struct latest *latest = latest_of(1);

	(void)state;
	assert_int_equal(health_after(latest, 0), 503);
	latest_beat(latest);
	assert_int_equal(health_after(latest, 0), 200);
	assert_int_equal(health_after(latest, 170), 200);
	assert_int_equal(health_after(latest, 190), 503);
	latest_free(latest);
}

static struct serve_address address_of(const char *text)
{
	struct serve_address address;

	assert_true(serve_address_parse(text, &address, NULL));
	return address;
}

static void loopback_is_told_from_the_rest(void **state)
{
	(void)state;
	assert_true(address_of("127.0.0.1:9464").loopback);
	assert_true(address_of("127.3.2.1:1").loopback);
	assert_true(address_of("[::1]:65535").loopback);
	assert_false(address_of("0.0.0.0:9464").loopback);
	assert_false(address_of("10.0.0.7:9464").loopback);
	assert_false(address_of("[::]:9464").loopback);
	assert_false(address_of("[::ffff:127.0.0.1]:9464").loopback);
}

static void on_loopback_only_loopback_names_are_answered(void **state)
{
	static const char *const good[] = { "localhost", "LOCALHOST:9464", "127.0.0.1:9464",
					    "127.0.0.1", "[::1]:9464",	   "[::1]" };
	static const char *const bad[] = { "",
					   "evil.example",
					   "evil.example:9464",
					   "10.0.0.7:9464",
					   "localhost.evil.example",
					   "127.0.0.1.evil.example",
					   "[::2]:9464",
					   "[",
					   "]",
					   ":",
					   "[::1",
					   "127.0.0.1@evil" };
	struct serve_address here = address_of("127.0.0.1:9464"), all = address_of("0.0.0.0:9464");
	size_t i;

	(void)state;
	assert_true(serve_address_accepts_host(&here, NULL));
	for (i = 0; i < G_N_ELEMENTS(good); i++)
		assert_true(serve_address_accepts_host(&here, good[i]));
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		if (serve_address_accepts_host(&here, bad[i]))
			fail_msg("'%s' was accepted", bad[i]);
		assert_true(serve_address_accepts_host(&all, bad[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_found_by_their_path_alone),
		cmocka_unit_test(a_pid_is_read_strictly),
		cmocka_unit_test(the_report_is_one_object_of_those_that_json_writes),
		cmocka_unit_test(metrics_stay_bounded_however_many_processes),
		cmocka_unit_test(without_reports_every_page_still_answers),
		cmocka_unit_test(health_is_a_session_that_goes_on),
		cmocka_unit_test(loopback_is_told_from_the_rest),
		cmocka_unit_test(on_loopback_only_loopback_names_are_answered),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}

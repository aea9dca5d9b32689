// SPDX-License-Identifier: GPL-2.0-or-later
/* Control groups as engines name them, and text that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>
#include <unistd.h>

#include "proc/container.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void assert_text(char *actual, const char *expected)
{
	if (!expected)
		assert_null(actual);
	else
		assert_string_equal(actual ? actual : "(null)", expected);
	g_free(actual);
}

static void the_control_group_is_that_of_the_hierarchy_in_use(void **state)
{
	static const struct {
		const char *text, *path;
	} cases[] = {
		{ "0::/user.slice/session-2.scope\n", "/user.slice/session-2.scope" },
		{ "0::/\n", "/" },
		{ "2:cpu,cpuacct:/docker/a\n1:name=systemd:/docker/b\n0::/docker/c\n",
		  "/docker/c" },
		{ "4:memory:/docker/longest\n1:name=systemd:/docker/b\n0::/\n", "/docker/b" },
		{ "4:memory:/process_api/x\n3:cpu:/\n1:name=systemd:/\n0::/\n", "/process_api/x" },
		{ "4:memory:/a\n3:cpu:/a/b\n", "/a/b" },
		{ "1:name=systemd:/with:colons:in it\n", "/with:colons:in it" },
		{ "0::/../../elsewhere", "/../../elsewhere" },
		{ "", NULL },
		{ "\n\n0:\n0::\nnonsense\n:::\n0::relative\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_text(container_cgroup_parse(cases[i].text), cases[i].path);
}

static void the_engines_id_is_found(void **state)
{
	static const struct {
		const char *path, *id;
	} cases[] = {
		{ "/docker/" ID, ID },
		{ "/system.slice/docker-" ID ".scope", ID },
		{ "/system.slice/docker-" ID ".scope/init.scope", ID },
		{ "/machine.slice/libpod-" ID ".scope/container", ID },
		{ "/kubepods/burstable/pod4b1c7c1e-0d1c-4a62-8a9f-3f6b6a7d1c11/" ID, ID },
		{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod12_34.slice/"
		  "cri-containerd-" ID ".scope",
		  ID },
		{ "/kubepods.slice/kubepods-pod12.slice/crio-" ID ".scope", ID },
		{ "/system.slice/containerd.service/kubepods-pod12.slice:cri-containerd:" ID, ID },
		{ "/ecs/0123456789abcdef0123456789abcdef/"
		  "0123456789abcdef0123456789abcdef-1234567890",
		  "0123456789abcdef0123456789abcdef-1234567890" },
		{ "/lxc.payload.web1/system.slice/app.service", "web1" },
		{ "/lxc/web2", "web2" },
		{ "/machine.slice/machine-my\\x2dbox.scope/payload", "my-box" },
		{ "/machine.slice/systemd-nspawn@box.service/payload", "box" },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_text(container_id_parse(cases[i].path), cases[i].id);
}

static void a_group_that_is_no_container_has_no_id(void **state)
{
	static const char *const paths[] = {
		"/",
		"",
		"/user.slice/user-1000.slice/session-2.scope",
		"/system.slice/ssh.service",
		/* A digit less, one more, a word that goes on, capitals */
		"/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
		"/docker/" ID "0",
		"/docker/" ID "z",
		"/docker/x" ID,
		"/docker/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
		"/a/0123456789abcdef0123456789abcdef-",
		"/a/0123456789abcdef0123456789abcdef-12x",
		"/lxc/",
		"/lxc.payload.",
		"/machine-.scope",
		"/process_api/0123456789abcdef0123456789abcdef",
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		assert_text(container_id_parse(paths[i]), NULL);
}

static void odd_escapes_are_kept(void **state)
{
	(void)state;
	assert_text(container_id_parse("/machine-a\\x2.scope"), "a\\x2");
	assert_text(container_id_parse("/machine-a\\xzz.scope"), "a\\xzz");
	assert_text(container_id_parse("/machine-a\\x00.scope"), "a\\x00");
	assert_text(container_id_parse("/machine-\\x2d\\x2d.scope"), "--");
}

static void the_pid_inside_is_the_innermost(void **state)
{
	(void)state;
	assert_int_equal(container_namespace_pid_parse("Name:\tpython3\nNSpid:\t4242\n"), 4242);
	assert_int_equal(
		container_namespace_pid_parse("Name:\tx\nNSpid:\t4242\t17\t1\nNSsid:\t5\n"), 1);
	assert_int_equal(container_namespace_pid_parse("Name:\tx\n"), 0);
	assert_int_equal(container_namespace_pid_parse("Name:\tNSpid:\t3\n"), 0);
	assert_int_equal(container_namespace_pid_parse("Name:\tx\nNSpid:"), 0);
	assert_int_equal(container_namespace_pid_parse("Name:\tx\nNSpid:\t-1\n"), 0);
	assert_int_equal(container_namespace_pid_parse("Name:\tx\nNSpid:\t99999999999999999999\n"),
			 0);
}

static void this_process_has_a_control_group_and_a_pid(void **state)
{
	struct container container;

	(void)state;
	container_read(getpid(), &container);
	assert_non_null(container.cgroup);
	assert_int_equal(container.cgroup[0], '/');
	assert_int_equal(container.namespace_pid, getpid());
	container_clear(&container);
	container_read(1 << 30, &container);
	assert_null(container.cgroup);
	assert_null(container.id);
	assert_int_equal(container.namespace_pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_control_group_is_that_of_the_hierarchy_in_use),
		cmocka_unit_test(the_engines_id_is_found),
		cmocka_unit_test(a_group_that_is_no_container_has_no_id),
		cmocka_unit_test(odd_escapes_are_kept),
		cmocka_unit_test(the_pid_inside_is_the_innermost),
		cmocka_unit_test(this_process_has_a_control_group_and_a_pid),
	};

	return cmocka_run_group_tests_name("container", tests, NULL, NULL);
}

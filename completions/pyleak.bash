# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of pyleak's command line for bash. Options are those that the installed pyleak tells with --help.

# Pids of processes that look like Python's, as far as this user can see.
_pyleak_pids()
{
	local cmdline name
	for cmdline in /proc/[0-9]*/cmdline; do
		{ IFS= read -r -d '' name <"$cmdline"; } 2>/dev/null || continue
		case ${name##*/} in
		python* | uwsgi* | gunicorn* | celery* | *.py)
			cmdline=${cmdline#/proc/}
			echo "${cmdline%/cmdline}"
			;;
		esac
	done
}

_pyleak()
{
	# shellcheck disable=SC2034 # _init_completion sets them
	local cur prev words cword split
	_init_completion -s -n : || return

	# After -- comes a command with options of its own.
	local i
	for ((i = 1; i < cword; i++)); do
		if [[ ${words[i]} == -- ]]; then
			_command_offset $((i + 1))
			return
		fi
	done

	case $prev in
	-p | --pid)
		local done=
		[[ $cur == *,* ]] && done=${cur%,*},
		mapfile -t COMPREPLY < <(compgen -P "$done" -W "$(_pyleak_pids)" -- "${cur##*,}")
		return
		;;
	-f | --format)
		mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null |
			sed -n 's/^ *-f, --format=FMT *\([a-z, ]*\) (.*/\1/p' | tr -d ,)" -- "$cur")
		return
		;;
	--group-by)
		mapfile -t COMPREPLY < <(compgen -W 'stack line function file module' -- "$cur")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W 'growth bytes blocks rate' -- "$cur")
		return
		;;
	--native)
		mapfile -t COMPREPLY < <(compgen -W 'off leaf full' -- "$cur")
		return
		;;
	-o | --output | --include | --exclude)
		_filedir
		return
		;;
	--cgroup)
		mapfile -t COMPREPLY < <(cd /sys/fs/cgroup 2>/dev/null && compgen -d -P / -- "${cur#/}")
		return
		;;
	--user)
		mapfile -t COMPREPLY < <(compgen -u -- "$cur")
		return
		;;
	--listen)
		mapfile -t COMPREPLY < <(compgen -W '127.0.0.1:9464 [::1]:9464' -- "$cur")
		return
		;;
	-i | --interval | -d | --duration | -n | --count | -t | --top | --overhead | --burst | --min-age | --match | --max-memory)
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '-- '"$(_parse_help "$1")" -- "$cur")
		[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
	elif ((cword == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'serve' -- "$cur")
	fi
	return 0
} && complete -F _pyleak pyleak

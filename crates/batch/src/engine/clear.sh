# Ends every process but the first and this one, and sees that none is left.
tries=0
while [ "$tries" -lt 100 ]; do
    kill -KILL -1 2>/dev/null
    left=
    for process in /proc/[0-9]*; do
        case ${process#/proc/} in 1 | $$) continue ;; esac
        # Threads of the kernel, and the dead, have no program.
        if [ -e "$process/exe" ]; then left=$process; fi
    done
    if [ -z "$left" ]; then exit 0; fi
    tries=$((tries + 1))
    sleep 0.1
done
exit 1

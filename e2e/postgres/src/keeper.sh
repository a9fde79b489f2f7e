# Keeps a private PostgreSQL as long as whoever started this script lives: BIN DATA-DIRECTORY.
# Standard input is a pipe that nobody writes to: its end is the end of the starter, also by kill -9.
bin=$1 dir=$2
cd /
# Not durable and small, because nothing of it is kept; connections for many tests at once.
setpriv --pdeathsig QUIT -- "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=300 \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB -c jit=off \
    </dev/null >"$dir/log" 2>&1 &
postgres=$!
echo "$postgres"
cat >/dev/null
kill -QUIT "$postgres" 2>/dev/null
wait "$postgres" 2>/dev/null
rm -rf "$dir/data" "$dir/log"
rmdir "$dir" 2>/dev/null
exit 0

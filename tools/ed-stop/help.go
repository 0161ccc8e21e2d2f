//go:build linux

package main

const help = `Usage: ed-stop [options] [--service] NAME|PID...

Stops processes: SIGINT, then SIGTERM, and returns when they are gone.

  -s, --service NAME|PID  a unit of systemd, or a process; can be repeated
  -t, --timeout TIME      wait after SIGINT, 0.1 to 1h (60); 10 after SIGTERM
  -p, --process-name      NAME may be that of a process, when no unit runs
      --signal LIST       send these instead, such as TERM:5,QUIT:2
  -k, --kill              send SIGKILL at the end
  -M, --message ADDR      first send STOP to [udp:|tcp:]HOST[:PORT],
                          {unix|unixgram|shm}:PATH, and wait for --timeout
      --secret-file FILE  the secret of a datagram (or in $ED_SIGNAL_SECRET)
  -n, --dry-run           print NAME PID COMMAND, and send nothing
  -h, --help; -V, --version
      --log-level LEVEL, --log-file FILE, --completion SHELL

Exit status: 0 gone or was not running, 1 still there, or another error.
Options can also be in the environment variable ED_STOP.

Examples:
  ExecStop=/usr/local/bin/ed-stop --service $MAINPID
  ed-stop -s nginx -s backup --signal TERM:20 --kill
`

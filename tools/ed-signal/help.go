package main

// help is what --help prints. It fits a screen of 24 lines with 80 columns.
const help = `Usage: ed-signal [options] [[SERVER:]SERVICE/]COMMAND

  -H, --host ADDR[:PORT]     where to, default 127.0.0.1:4041; for unix* and shm
                             PATH or @NAME; FILE@[SECTION::]NAME: as FILE says
  -t, --type TYPE            udp (default), tcp, unix, unixgram or shm
  -e, --encrypt[=no]         TLS, over tcp; --insecure takes any certificate
  --ca FILE                  trust it; --cert FILE, --key FILE: our certificate
  -m, --message MESSAGE      as the plain argument
  -p, --param NAME[=VALUE]   add a parameter, repeatable
  -s, --server SERVER; -S, --service SERVICE   where MESSAGE names none
  -c, --secret-code SECRET, --secret-file FILE   for datagrams; - is stdin
  -r, --reply                wait for the reply, print it; -j, --json: as JSON
  -x, --expect COMMAND       wait for this reply, fail without it
  -v, --value NAME           print this parameter of the reply
  --timeout SECONDS          default 5; 0: for ever; -R, --retry: until it is up
  -n, --dry-run              print message and address, send nothing
  --config FILE              default /etc/eventdispatcher/ed-signal.conf
  -h, --help; -V, --version; --log-level LEVEL, --log-file FILE
  --completion SHELL
Exit status: 0 sent and answered as asked, 1 any error.
Environment: $ED_SIGNAL has options, $ED_SIGNAL_SECRET the secret.
Examples:
  ed-signal ./LOG_ROTATE --host /etc/demo.conf@listen
  ed-signal -t tcp -H db1:4040 --value text STATUS
`

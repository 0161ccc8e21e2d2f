package main

// help is what --help prints.
const help = `Usage: check-certificate [options] DOMAIN[:PORT]...
       check-certificate [options] --file PEM [--file PEM]...

Exit with 0 when all certificates are valid for 14 days still, 1 when one isn't
or can't be read, 2 when the command line is wrong. The port is 443 by default.

  -l, --limit DURATION     report what ends within 60, 60d, 2w, 1y (default 14d)
  -i, --info               print the fields of the certificate
  -j, --json               print a JSON object for each name, a line each
  -b, --bad; -q, --quiet   print what is bad only; print nothing but errors
  -v, --verify             check the chain and the name as well
  -c, --ca FILE            with --verify: trust these, not the system's roots
  -n, --servername NAME    ask for NAME, and check it with -v, not DOMAIN
  -f, --file PEM           check the certificates in a file, - is standard input
  -s, --starttls PROTOCOL  smtp, imap or pop3, by default on ports 25, 143, 110
  -t, --timeout SECONDS    for each server (default 10)
  --log-level LEVEL, --log-file FILE, --completion SHELL
  -h, --help; -V, --version

Examples:
  check-certificate example.com || echo "time to renew"
  check-certificate --limit 4w --verify example.com mail.example.com:993
  check-certificate --starttls smtp --json mail.example.com
  check-certificate --file /etc/ssl/site.pem
`

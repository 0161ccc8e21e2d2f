// Package systemd holds no code: beside it are a unit for a service of this library, the snippet for its logrotate, and
// a daily check of certificates, with the tests that hold them. README.md says what to change and how to install them.
// Nothing imports this package.
package systemd

// exit waits for the end of its input, writes CLOCK_MONOTONIC in nanoseconds to its output and exits at once.
#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(void) {
	char c;
	while (read(0, &c, 1) > 0) {
	}
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	if (write(1, &ns, sizeof ns) != sizeof ns) {
		_exit(1);
	}
	_exit(0);
}

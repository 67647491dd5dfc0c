/* Hands files to a fuzz target, each whole and cut off at every length: what is known to be worth a look, without clang
 * and always the same. */
#include <dirent.h>
#include "fuzz.h"

enum { CUT_MAX = 1024 }; /* longer files are cut at their first bytes only */

/* In memory of its very size, so that a sanitizer sees a byte too far. */
static void hand_over(const char *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	memcpy(copy, bytes, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static bool replay_file(const char *folder, const char *name)
{
	char path[4096];
	struct kb_buf text = {0};
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "re");
	for (size_t n = file != NULL; n > 0 && kb_buf_reserve(&text, BUFSIZ); text.n += n)
		n = fread(text.p + text.n, 1, BUFSIZ, file);
	if (!file || ferror(file) || text.failed || fclose(file) != 0) {
		perror(path);
		return false;
	}
	hand_over(text.p, text.n);
	for (size_t n = 0; n < text.n && n < CUT_MAX; n++)
		hand_over(text.p, n);
	kb_buf_free(&text);
	return true;
}

int main(int argc, char **argv)
{
	unsigned files = 0;
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
	if (!folder) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	for (struct dirent *entry; (entry = readdir(folder));)
		if (entry->d_name[0] != '.') {
			if (!replay_file(argv[1], entry->d_name))
				return 1;
			files++;
		}
	closedir(folder);
	return files ? 0 : 1;
}

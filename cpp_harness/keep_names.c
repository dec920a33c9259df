/* For programs under LeakSanitizer. A library that dlopen unloads would hide its name from the leak
 * report: with the names the few known leaks of drivers can be told from ours. */
int dlclose(void *handle);
int dlclose(void *handle) {
  (void)handle;
  return 0;
}

package interop;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The words of a command line: options with a value each, and files. */
final class Options {
  private final Map<String, List<String>> values = new LinkedHashMap<>();
  private final List<String> files = new ArrayList<>();

  /** A call that cannot be understood. */
  static final class UsageException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UsageException(String message) {
      super(message);
    }
  }

  Options(List<String> words, Set<String> known) {
    for (int i = 0; i < words.size(); i++) {
      String word = words.get(i);
      if (!word.startsWith("--")) {
        files.add(word);
        continue;
      }
      if (!known.contains(word)) {
        throw new UsageException("no such option: " + word);
      }
      if (++i == words.size()) {
        throw new UsageException(word + " wants a value");
      }
      values.computeIfAbsent(word, k -> new ArrayList<>()).add(words.get(i));
    }
  }

  /** All values of an option, in order. */
  List<String> all(String name) {
    return values.getOrDefault(name, List.of());
  }

  /** The value of an option that may be left out; null then. */
  String optional(String name) {
    List<String> given = all(name);
    if (given.size() > 1) {
      throw new UsageException(name + " can be given once");
    }
    return given.isEmpty() ? null : given.get(0);
  }

  /** The value of an option that must be there. */
  String required(String name) {
    String value = optional(name);
    if (value == null) {
      throw new UsageException(name + " is missing");
    }
    return value;
  }

  List<String> files() {
    return files;
  }
}

package interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * The command line. Results are JSON, one object a line on standard output, and nothing else is
 * written there. Exit status: 0 when the work was done, whatever was found out; 1 when it could not
 * be done; 2 for a wrong call.
 */
public final class Main {
  private static final String USAGE = """
      usage: validate [--anchor FILE.pem] [--crl FILE]... [--ocsp FILE]... [--pages NUMBER] [--reports FOLDER] FILE...
                      --pages: how many of a PDF are compared as pictures, before the seal and after
             serve    the words of such a call on each line of the standard input, separated by tabs
             bench --module LIBRARY --slot NUMBER --pin-file FILE --alias LABEL --alg RS256|ES256
                   --payload FILE --warm-up SEALS --seconds SECONDS [--keep FILE]
      """;

  private Main() {}

  /** Runs one of the two commands. */
  public static void main(String[] args) {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    try {
      if (args.length == 0) {
        throw new Options.UsageException("no command given");
      }
      List<String> rest = Arrays.asList(args).subList(1, args.length);
      switch (args[0]) {
        case "validate" -> new Validate(new Options(rest, Validate.OPTIONS)).run(out);
        case "serve" ->
            Validate.serve(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)), out);
        case "bench" -> new Bench(new Options(rest, Bench.OPTIONS)).run(out);
        default -> throw new Options.UsageException("no such command: " + args[0]);
      }
    } catch (Options.UsageException e) {
      System.err.println(e.getMessage());
      System.err.print(USAGE);
      System.exit(2);
    } catch (Exception e) {
      e.printStackTrace();
      System.exit(1);
    }
  }
}

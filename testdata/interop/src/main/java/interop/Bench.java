package interop;

import com.sun.management.OperatingSystemMXBean;
import eu.europa.esig.dss.enumerations.DigestAlgorithm;
import eu.europa.esig.dss.enumerations.JWSSerializationType;
import eu.europa.esig.dss.enumerations.SignatureAlgorithm;
import eu.europa.esig.dss.enumerations.SignatureLevel;
import eu.europa.esig.dss.enumerations.SignaturePackaging;
import eu.europa.esig.dss.jades.JAdESSignatureParameters;
import eu.europa.esig.dss.jades.JAdESSigningTimeType;
import eu.europa.esig.dss.jades.signature.JAdESService;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.InMemoryDocument;
import eu.europa.esig.dss.model.SignatureValue;
import eu.europa.esig.dss.model.ToBeSigned;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.token.DSSPrivateKeyEntry;
import eu.europa.esig.dss.token.KSPrivateKeyEntry;
import eu.europa.esig.dss.token.Pkcs11SignatureToken;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore.PasswordProtection;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Seals one payload again and again on one thread with a key of a PKCS#11 token, as DSS does it: header,
 * signature on the token, whole file in memory. The file has the form of ours: JWS with an unencoded
 * payload in JSON, level B-B, iat, certificate in x5c.
 */
final class Bench {
  static final Set<String> OPTIONS = Set.of("--module", "--slot", "--pin-file", "--alias", "--alg", "--payload",
      "--warm-up", "--seconds", "--keep");

  private final Options options;

  Bench(Options options) {
    this.options = options;
  }

  /** Prints one line: seals, wall and CPU time of the process after the warm-up. */
  void run(PrintStream out) throws Exception {
    DSSDocument payload = new InMemoryDocument(Files.readAllBytes(Path.of(options.required("--payload"))), "payload");
    PasswordProtection pin =
        new PasswordProtection(Files.readString(Path.of(options.required("--pin-file"))).strip().toCharArray());
    int slot = Integer.parseInt(options.required("--slot"));
    try (Pkcs11SignatureToken token = new Pkcs11SignatureToken(options.required("--module"), pin, slot, null)) {
      DSSPrivateKeyEntry key = key(token);
      DSSDocument sealed = seal(token, key, payload);
      String keep = options.optional("--keep");
      if (keep != null) {
        sealed.save(keep);
      }
      // The machine compiles while it runs: it is measured when it is as fast as it will be.
      for (int n = Integer.parseInt(options.required("--warm-up")); n > 0; n--) {
        seal(token, key, payload);
      }
      OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      long cpu = system.getProcessCpuTime();
      long begun = System.nanoTime();
      long seals = sealFor(Double.parseDouble(options.required("--seconds")), token, key, payload);
      double wall = (System.nanoTime() - begun) / 1e9;
      double used = (system.getProcessCpuTime() - cpu) / 1e3;
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("alg", options.required("--alg"));
      line.put("seals", seals);
      line.put("seals_per_s", seals / wall);
      line.put("cpu_us_per_seal", used / seals);
      out.println(Json.of(line));
    }
  }

  private DSSPrivateKeyEntry key(Pkcs11SignatureToken token) {
    String alias = options.required("--alias");
    for (DSSPrivateKeyEntry key : token.getKeys()) {
      if (key instanceof KSPrivateKeyEntry entry && entry.getAlias().equals(alias)) {
        return key;
      }
    }
    throw new IllegalArgumentException("no key on the token has the label " + alias);
  }

  private long sealFor(double seconds, Pkcs11SignatureToken token, DSSPrivateKeyEntry key, DSSDocument payload) {
    long until = System.nanoTime() + (long) (seconds * 1e9);
    long n = 0;
    do {
      if (DSSUtils.toByteArray(seal(token, key, payload)).length == 0) {
        throw new IllegalStateException("an empty file came out");
      }
      n++;
    } while (System.nanoTime() < until);
    return n;
  }

  private DSSDocument seal(Pkcs11SignatureToken token, DSSPrivateKeyEntry key, DSSDocument payload) {
    JAdESSignatureParameters parameters = new JAdESSignatureParameters();
    parameters.setSignatureLevel(SignatureLevel.JAdES_BASELINE_B);
    parameters.setSignaturePackaging(SignaturePackaging.ENVELOPING);
    parameters.setJwsSerializationType(JWSSerializationType.JSON_SERIALIZATION);
    parameters.setJadesSigningTimeType(JAdESSigningTimeType.IAT);
    parameters.setBase64UrlEncodedPayload(false);
    parameters.setDigestAlgorithm(DigestAlgorithm.SHA256);
    parameters.setSigningCertificate(key.getCertificate());
    parameters.setCertificateChain(key.getCertificate());
    parameters.bLevel().setSigningDate(new Date());
    JAdESService service = new JAdESService(new CommonCertificateVerifier());
    ToBeSigned input = service.getDataToSign(payload, parameters);
    SignatureValue value = token.sign(input, algorithm(), key);
    return service.signDocument(payload, parameters, value);
  }

  private SignatureAlgorithm algorithm() {
    return switch (options.required("--alg")) {
      case "RS256" -> SignatureAlgorithm.RSA_SHA256;
      case "ES256" -> SignatureAlgorithm.ECDSA_SHA256;
      default -> throw new Options.UsageException("--alg can be RS256 or ES256");
    };
  }
}

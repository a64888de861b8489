package interop;

import eu.europa.esig.dss.enumerations.SignatureLevel;
import eu.europa.esig.dss.jaxb.object.Message;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.pades.validation.PDFDocumentValidator;
import eu.europa.esig.dss.pdf.modifications.DefaultPdfDifferencesFinder;
import eu.europa.esig.dss.pdf.pdfbox.PdfBoxDefaultObjectFactory;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.simplereport.jaxb.XmlTimestamp;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CertificateVerifier;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.spi.x509.revocation.ocsp.ExternalResourcesOCSPSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Asks DSS for its judgement of signed files under its own default policy. Nothing is fetched: the
 * only trusted certificate is the one given, and revocation data come from the file that is judged
 * and from those given, which a validator on the network would have fetched.
 */
final class Validate {
  static final Set<String> OPTIONS = Set.of("--anchor", "--crl", "--ocsp", "--pages", "--reports");

  private final Options options;

  Validate(Options options) {
    if (options.files().isEmpty()) {
      throw new Options.UsageException("no file given");
    }
    this.options = options;
  }

  /**
   * Takes a command line from each line of the input, words separated by tabs: one virtual machine,
   * which takes seconds to get going, for hundreds of files. One after the other, for DSS 6.4 judges
   * falsely now and then when several threads ask it about JAdES.
   */
  static void serve(BufferedReader in, PrintStream out) throws IOException {
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      new Validate(new Options(Arrays.asList(line.split("\t")), OPTIONS)).run(out);
    }
  }

  /** Prints one line for each file, in order. */
  void run(PrintStream out) throws IOException {
    for (String file : options.files()) {
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("file", file);
      try {
        line.put("signatures", judge(file));
      } catch (RuntimeException e) {
        // Some tampered files are no signed documents any more; that, too, is a judgement.
        line.put("unreadable", e.getClass().getSimpleName() + ": " + e.getMessage());
      }
      out.println(Json.of(line));
    }
  }

  private List<Object> judge(String file) throws IOException {
    SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(file));
    validator.setCertificateVerifier(verifier());
    String pages = options.optional("--pages");
    if (pages != null && validator instanceof PDFDocumentValidator pdf) {
      DefaultPdfDifferencesFinder finder = new DefaultPdfDifferencesFinder();
      finder.setMaximalPagesAmountForVisualComparison(Integer.parseInt(pages));
      PdfBoxDefaultObjectFactory factory = new PdfBoxDefaultObjectFactory();
      factory.setPdfDifferencesFinder(finder);
      pdf.setPdfObjFactory(factory);
    }
    Reports reports = validator.validateDocument();
    String folder = options.optional("--reports");
    if (folder != null) {
      Path name = Path.of(folder, Path.of(file).getFileName().toString());
      Files.writeString(Path.of(name + ".detailed.xml"), reports.getXmlDetailedReport());
      Files.writeString(Path.of(name + ".diagnostic.xml"), reports.getXmlDiagnosticData());
    }
    SimpleReport report = reports.getSimpleReport();
    List<Object> signatures = new ArrayList<>();
    for (String id : report.getSignatureIdList()) {
      signatures.add(signature(report, id));
    }
    return signatures;
  }

  private static Map<String, Object> signature(SimpleReport report, String id) {
    SignatureLevel level = report.getSignatureFormat(id);
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("format", level == null ? null : level.getSignatureForm());
    out.put("level", level == null ? null : level.name());
    out.put("indication", report.getIndication(id));
    out.put("subindication", report.getSubIndication(id));
    out.put("signed_by", report.getSignedBy(id));
    out.put("errors", texts(report.getAdESValidationErrors(id)));
    out.put("warnings", texts(report.getAdESValidationWarnings(id)));
    out.put("infos", texts(report.getAdESValidationInfo(id)));
    List<Object> stamps = new ArrayList<>();
    for (XmlTimestamp t : report.getSignatureTimestamps(id)) {
      Map<String, Object> stamp = new LinkedHashMap<>();
      stamp.put("indication", t.getIndication());
      stamp.put("subindication", t.getSubIndication());
      stamp.put("by", t.getProducedBy());
      stamps.add(stamp);
    }
    out.put("timestamps", stamps);
    return out;
  }

  private static List<String> texts(List<Message> messages) {
    return messages.stream().map(m -> m.getKey() + ": " + m.getValue()).toList();
  }

  private CertificateVerifier verifier() {
    CommonCertificateVerifier verifier = new CommonCertificateVerifier();
    verifier.setAIASource(null); // fetches nothing; the sources below read files alone
    verifier.setOcspSource(new ExternalResourcesOCSPSource(documents("--ocsp")));
    verifier.setCrlSource(new ExternalResourcesCRLSource(documents("--crl")));
    String anchor = options.optional("--anchor");
    if (anchor != null) {
      CommonTrustedCertificateSource trusted = new CommonTrustedCertificateSource();
      CertificateToken certificate = DSSUtils.loadCertificate(new java.io.File(anchor));
      trusted.addCertificate(certificate);
      verifier.setTrustedCertSources(trusted);
    }
    return verifier;
  }

  private DSSDocument[] documents(String option) {
    return options.all(option).stream().map(FileDocument::new).toArray(DSSDocument[]::new);
  }
}

package dev.nosa.arch;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.belongToAnyOf;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.equivalentTo;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import dev.nosa.backend.Backends;
import dev.nosa.backend.DeviceInfo;
import dev.nosa.backend.KvTraffic;
import dev.nosa.runner.DeviceBench;
import dev.nosa.runner.RunnerBench;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which package may know which: engine over schedule over cache, engine over runner over model over backend. */
class DependencyTest {
    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("dev.nosa");

    /** For each package, the others of this module that it may use. */
    private static final Map<String, String> ALLOWED = Map.ofEntries(
            Map.entry("sparse", ""),
            Map.entry("tensor", ""),
            Map.entry("sample", ""),
            Map.entry("checkpoint", ""),
            Map.entry("tokenizer", "checkpoint"),
            Map.entry("cache", "sparse"),
            Map.entry("backend", "cache checkpoint sample sparse tensor"),
            Map.entry("model", "backend checkpoint sparse tensor"),
            Map.entry("runner", "backend cache checkpoint model sample sparse tensor"),
            Map.entry("schedule", "cache sparse"),
            Map.entry("engine", "backend cache checkpoint model runner sample schedule sparse tokenizer"),
            Map.entry("arrow", "backend engine"));

    @Test
    void everyPackageUsesOnlyThoseBelowIt() {
        ALLOWED.forEach((name, allowed) -> {
            String[] known = Arrays.stream((name + " " + allowed).trim().split(" "))
                    .map(other -> "dev.nosa." + other + "..")
                    .toArray(String[]::new);
            noClasses()
                    .that()
                    .resideInAPackage("dev.nosa." + name + "..")
                    .should()
                    .dependOnClassesThat(resideInAPackage("dev.nosa..").and(not(resideInAnyPackage(known))))
                    .check(CLASSES);
        });
    }

    @Test
    void everyPackageHasARule() {
        Set<String> packages = new TreeSet<>();
        for (JavaClass type : CLASSES) {
            packages.add(type.getPackageName().split("\\.")[2]);
        }
        assertThat(ALLOWED.keySet()).containsExactlyInAnyOrderElementsOf(packages);
    }

    @Test
    void thePackagesOfTheModuleHaveNoCycle() {
        slices().matching("dev.nosa.(*)..").should().beFreeOfCycles().check(CLASSES);
    }

    @Test
    void onlyTheChoiceOfABackendAndABenchNameOne() {
        noClasses()
                .that(not(resideInAnyPackage("dev.nosa.backend.cpu..", "dev.nosa.backend.cuda..")))
                .and(not(equivalentTo(Backends.class)))
                .and(not(belongToAnyOf(RunnerBench.class, DeviceBench.class)))
                .should()
                .dependOnClassesThat(resideInAnyPackage("dev.nosa.backend.cpu..", "dev.nosa.backend.cuda.."))
                .check(CLASSES);
    }

    @Test
    void aboveTheRunnerOnlyTrafficAndDeviceAreKnownOfTheBackend() {
        noClasses()
                .that()
                .resideInAnyPackage("dev.nosa.engine..", "dev.nosa.schedule..", "dev.nosa.arrow..")
                .should()
                .dependOnClassesThat(resideInAPackage("dev.nosa.backend..")
                        .and(not(belongToAnyOf(KvTraffic.class, DeviceInfo.class))))
                .check(CLASSES);
    }

    @Test
    void theSelectionIsPureJava() {
        classes()
                .that()
                .resideInAPackage("dev.nosa.sparse..")
                .should()
                .onlyDependOnClassesThat(resideInAnyPackage("dev.nosa.sparse..", "java.."))
                .check(CLASSES);
    }

    @ParameterizedTest
    @CsvSource({
        "org.apache.spark.., none",
        "scala.., none",
        "jcuda.., backend.cuda",
        "com.sun.jna.., backend.cuda",
        "org.bytedeco.., backend.cpu",
        "ai.djl.., tokenizer",
        "com.hubspot.jinjava.., tokenizer",
        "org.apache.arrow.., arrow",
    })
    void aLibraryIsKnownToOnePackageAtMost(String library, String user) {
        noClasses()
                .that()
                .resideOutsideOfPackage("dev.nosa." + user + "..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage(library)
                .check(CLASSES);
    }
}

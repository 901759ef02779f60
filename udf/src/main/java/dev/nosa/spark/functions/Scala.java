package dev.nosa.spark.functions;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractPartialFunction;

/** Spark's plans are made of Scala's collections and functions. */
final class Scala {
    private Scala() {}

    @SafeVarargs
    static <T> Seq<T> seq(T... items) {
        return seq(List.of(items));
    }

    static <T> Seq<T> seq(List<? extends T> items) {
        return CollectionConverters.<T>asScala(List.copyOf(items)).toSeq();
    }

    /** Of items that may be null. */
    static <T> Seq<T> seqOfNullable(T[] items) {
        return CollectionConverters.asScala(Arrays.asList(items)).toSeq();
    }

    static <T> Seq<T> append(Seq<T> items, T last) {
        List<T> all = new ArrayList<>(list(items));
        all.add(last);
        return seq(all);
    }

    /** Attributes as a projection takes them. */
    static Seq<NamedExpression> named(Seq<Attribute> attributes) {
        return seq(Scala.<Attribute>list(attributes));
    }

    /** An exception from Scala, which knows no checked ones. */
    @SuppressWarnings("unchecked")
    static <E extends Throwable> RuntimeException unchecked(Throwable exception) throws E {
        throw (E) exception;
    }

    static <T> List<T> list(scala.collection.Seq<T> items) {
        return CollectionConverters.asJava(items);
    }

    /** The function that is defined where {@code test} holds, and changes nothing. */
    static <T> AbstractPartialFunction<T, T> only(Predicate<T> test) {
        return new AbstractPartialFunction<>() {
            @Override
            public boolean isDefinedAt(T node) {
                return test.test(node);
            }

            @Override
            public T apply(T node) {
                return node;
            }
        };
    }

    /** Puts one thing in the place of another: {@code replace} returns its argument itself to leave it. */
    static <T> AbstractPartialFunction<T, T> replacing(UnaryOperator<T> replace) {
        return new AbstractPartialFunction<>() {
            @Override
            public boolean isDefinedAt(T node) {
                return true;
            }

            @Override
            public T apply(T node) {
                return replace.apply(node);
            }
        };
    }
}

package dev.nosa.tokenizer;

import com.hubspot.jinjava.el.TypeConvertingMapELResolver;
import com.hubspot.jinjava.el.ext.JinjavaBeanELResolver;
import com.hubspot.jinjava.el.ext.JinjavaListELResolver;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.objects.collections.PyList;
import com.hubspot.jinjava.objects.collections.PyMap;
import com.hubspot.jinjava.util.ForLoop;
import jinjava.javax.el.ArrayELResolver;
import jinjava.javax.el.CompositeELResolver;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;
import jinjava.javax.el.MethodNotFoundException;

/**
 * What a dot means in a template. Jinjava's own resolver calls any public Java method of any object; this one calls
 * filters and tests, methods of Jinjava's lists and maps, and Python's string methods, and reads {@code loop}'s properties.
 */
final class ChatTemplateResolver extends JinjavaBeanELResolver {
    private ChatTemplateResolver() {
        super(true);
    }

    static ELResolver create() {
        CompositeELResolver resolver = new CompositeELResolver();
        resolver.add(new ArrayELResolver(true));
        resolver.add(new JinjavaListELResolver(true));
        resolver.add(new TypeConvertingMapELResolver(true));
        resolver.add(new ChatTemplateResolver());
        return resolver;
    }

    @Override
    public Object getValue(ELContext context, Object base, Object property) {
        if (base instanceof ForLoop) {
            return super.getValue(context, base, property);
        }
        if (base != null) {
            context.setPropertyResolved(true);
        }
        return null;
    }

    @Override
    public Object invoke(ELContext context, Object base, Object method, Class<?>[] parameterTypes, Object[] arguments) {
        if (base instanceof String text) {
            Object result = PythonStrings.call(text, String.valueOf(method), arguments);
            context.setPropertyResolved(true);
            return result;
        }
        if (base instanceof Filter || base instanceof ExpTest || base instanceof PyList || base instanceof PyMap) {
            return super.invoke(context, base, method, parameterTypes, arguments);
        }
        throw new MethodNotFoundException("no method " + method);
    }
}
